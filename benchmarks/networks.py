"""The speed of networks, by size, batch, precision and way of launching their calls."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from copy import copy, deepcopy
from dataclasses import replace
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from deqir import NoiseSchedule, Prior
from deqir.engine.batch_size import saturating, timed_calls
from deqir.hardware.cuda_graphs import recordable
from deqir.hardware.memory import FEW_CALLS, out_of_memory
from deqir.networks.drunet import DRUNet
from deqir.priors import DenoiserPrior, FFDNet, UNetPrior
from deqir.priors.prior import captured

from .ceilings import ceiling, pace
from .precisions import DTYPES, tf32, unrecorded, working_in
from .trials import Row

LONG: Final = 0.06
"""Seconds of a call from which larger batches are not tried."""
KNOWN_NOISE: Final = 75 / 255


def ffdnet(device: torch.device) -> Prior:
    """Return an FFDNet of random weights."""
    return plain("ffdnet", FFDNet(), device)


def drunet(device: torch.device, *, small: bool = False) -> Prior:
    """Return a DRUNet of random weights."""
    return plain("drunet", DRUNet(width=4, blocks=1) if small else DRUNet(), device)


def plain(name: str, network: FFDNet | DRUNet, device: torch.device) -> Prior:
    """Return a plain denoiser as `load_prior` would: in the layout channels last, its calls recorded."""
    fixed = network.to(device).eval().requires_grad_(False)
    fixed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    denoiser = DenoiserPrior(fixed, max_noise=KNOWN_NOISE)
    return captured(_prior(name, denoiser, device, network.multiple))


def unet(device: torch.device, *, small: bool = False) -> Prior:
    """Return a UNet of DDPM's size for 64 x 64 pixels, with random weights.

    Raises:
        ImportError: diffusers is not here.
    """
    from diffusers import UNet2DModel

    width, groups = (8, 4) if small else (128, 32)
    network = UNet2DModel(  # type: ignore[no-untyped-call]
        sample_size=64,
        layers_per_block=1 if small else 2,
        block_out_channels=(width, 2 * width, 2 * width, 2 * width),
        norm_num_groups=groups,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )
    assert isinstance(network, nn.Module)
    fixed = network.to(device).eval().requires_grad_(False)
    return captured(_prior("unet", UNetPrior(fixed, NoiseSchedule.linear()), device, 8))


def _prior(name: str, denoiser: DenoiserPrior | UNetPrior, device: torch.device, multiple: int) -> Prior:
    return Prior(
        name=name, digest="", denoiser=denoiser, device=device, multiple=multiple, max_noise=KNOWN_NOISE, channels=3
    )


def question(device: torch.device, batch: int, size: int) -> tuple[Tensor, Tensor]:
    """Return states and their levels."""
    level = torch.full((batch,), 0.9, dtype=torch.float64, device=device)
    return torch.randn(batch, 3, size, size, device=device), level


def flops_of(prior: Prior, size: int) -> float:
    """Return the time of an evaluation."""
    asked = question(prior.device, 1, size)
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:  # calls of which gradients are not asked take
        unrecorded(prior)(*asked)  # kernels of cuDNN's own, which it does not count
    return float(counter.get_total_flops())


def speeds(prior: Prior, size: int, precision: str, batches: Sequence[int], *, side: int) -> Iterator[Row]:
    """Yield the speed of calls, and its share of the device's fastest arithmetic in their precision.

    Args:
        prior: A prior, with recorded calls or not.
        size: Of the images, in pixels a side.
        precision: One of `PRECISIONS`.
        batches: Evaluations of a call; larger batches are left out after a call of `LONG` seconds.
        side: Side of the matrices for measuring the fastest products.
    """
    device, flops = prior.device, flops_of(prior, size)
    matrices, convolutions = ceiling(device, precision, side)
    for batch in batches:
        with tf32(precision == "TF32"):
            seconds, recorded = timed(unrecorded(prior), precision, batch, size), None
            if seconds is None:
                return
            with torch.inference_mode():
                is_recorded = recordable(question(device, batch, size)[0])
            if is_recorded:
                recorded = timed(prior, precision, batch, size, warm=FEW_CALLS + 2)
        speed = batch * flops / min(seconds, recorded or seconds) / 1e12
        yield {
            "network": prior.name,
            "pixels": size,
            "precision": precision,
            "batch": batch,
            "ms a call": 1000 * seconds,
            "evaluations/s": batch / seconds,
            "evaluations/s, recorded": batch / recorded if recorded else "",
            "times as fast": seconds / recorded if recorded else "",
            "TFLOP/s, the faster": speed,
            "% of matrices'": 100 * speed / matrices,
            "% of convolutions'": 100 * speed / convolutions,
        }
        if seconds > LONG:
            return


def timed(prior: Prior, precision: str, batch: int, size: int, *, warm: int = 2) -> float | None:
    """Return the seconds of a call; None where memory does not hold it."""
    half, asked = working_in(prior, precision), question(prior.device, batch, size)
    try:
        with torch.inference_mode():
            return pace(partial(half, *asked), prior.device, warm=warm)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return None


class InHalf(nn.Module):
    """A plain denoiser with its weights in half precision."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = deepcopy(network).to(dtype), dtype

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        denoised: Tensor = self.network(image.to(self.dtype), noise.to(self.dtype))
        return denoised.to(image)


def variants(prior: Prior, size: int, batch: int, *, half: str) -> Iterator[Row]:
    """Yield the speed of both layouts, and with weights in half precision; no call is recorded."""
    prior = unrecorded(prior)
    assert isinstance(prior.denoiser, DenoiserPrior | UNetPrior)
    layouts = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}
    for name, layout in layouts.items():
        network = deepcopy(prior.denoiser.network)
        network.to(memory_format=layout)  # type: ignore[call-overload]
        ways = {(name, "TF32"): network, (name, half): network}
        if isinstance(prior.denoiser, DenoiserPrior):
            ways[f"{name}, weights", half] = InHalf(network, DTYPES[half])
        for (how, precision), it in ways.items():
            worker = replace(prior, denoiser=_around(prior.denoiser, it))
            with tf32(precision == "TF32"):
                seconds = timed(worker, "default" if it is not network else precision, batch, size)
            yield {
                "network": prior.name,
                "how": f"{how}, {precision}",
                "pixels": size,
                "batch": batch,
                "evaluations/s": batch / seconds if seconds else "",
            }


def _around(denoiser: DenoiserPrior | UNetPrior, network: nn.Module) -> DenoiserPrior | UNetPrior:
    """Return the same with another network."""
    other = copy(denoiser)
    other.network = network
    return other


def measuring(prior: Prior, precision: str, size: int) -> Iterator[Row]:
    """Yield the batch chosen by the engine, and the time of choosing it."""
    shape = 3, size, size
    with tf32(precision == "TF32"), torch.inference_mode():
        began = time.perf_counter()
        worker = working_in(prior, precision)
        batch = saturating(timed_calls(worker, shape, dtype=torch.float32, device=prior.device))
    yield {
        "network": prior.name,
        "pixels": size,
        "precision": precision,
        "batch": batch,
        "s to find it": time.perf_counter() - began,
    }
