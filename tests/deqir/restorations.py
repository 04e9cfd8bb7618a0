"""Restorations on another device than the CPU, for comparison with the CPU's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import torch
from torch import nn

from deqir import NoiseSchedule, Request, Settings, operators
from deqir.networks.channelwise import Channelwise
from deqir.networks.drunet import DRUNet
from deqir.networks.pyramid import PyramidDenoiser
from deqir.operators import FramedDeblurring, SuperResolution, masks
from deqir.priors import DenoiserPrior, FFDNet, UNetPrior
from deqir.priors.starters.starters import Skills
from deqir.protocols import Denoiser, LinearOperator, SpectralOperator
from deqir.sampling.sampler import Sampler
from tests.conformance.dense import Shape
from tests.conformance.examples import EXAMPLES, ONE_SIDED
from tests.deqir.problems import OPERATORS, rand

Network = TypeVar("Network", bound=nn.Module)

T: Final = 3
PARTS: Final = (OPERATORS["inpaint"], SuperResolution(scale=2))
MATRIX_FREE: Final = operators.MatrixFree.of_parts(PARTS, (3, 8, 12), tolerance=1e-3)
ALL: Final[dict[str, tuple[LinearOperator, Shape]]] = EXAMPLES | {
    "sr4x2": (SuperResolution(scale=(4, 2)), (3, 8, 12)),
    "bicubic3x1": (operators.KernelSuperResolution(scale=(3, 1)), (3, 9, 12)),
    "deblur-circular": (operators.Deblurring(kernel=ONE_SIDED), (3, 8, 12)),
    "deblur-framed": (FramedDeblurring(kernel=ONE_SIDED, max_iterations=9), (3, 12, 14)),
    "grey-blur": (
        operators.Composition(parts=(operators.Colorization(), operators.SeparableDeblurring(kernel=torch.ones(3)))),
        (3, 8, 12),
    ),
    "matrix-free": (replace(MATRIX_FREE, start_iterations=4), (3, 8, 12)),
}
"""Starts by iteration stop after the first four: from there on a rounding error grows a hundredfold every other one."""

ASKED_AT_START: Final = {"inpaint": 3, "inpaint-channels": 6, "old-photograph": 6}
"""Questions to the device whether anything is missing: one per size and per filling by diffusion."""
ASKED_OF_NOISY: Final = ASKED_AT_START | {"old-photograph": 3}
"""The same questions for noisy images, whose start for noise is the first guess as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """One way to restore some images."""

    settings: Settings
    images: int = 1
    sigma_y: float = 0.0
    given: bool = False


def how(mode: str | int, **others: object) -> Settings:
    return Settings(mode=mode, steps=T, start_noise=0.2, denoiser_batch=4, **others)  # type: ignore[arg-type]


HOWS: Final = {
    "throughput": How(settings=how("throughput"), images=2),
    "latency": How(settings=how("latency", eta=0.0)),
    "window, a given start": How(settings=how(2), images=2, given=True),
    "paper": How(settings=how("paper")),
    "noisy": How(settings=how("throughput", eta=0.0), images=2, sigma_y=0.1),
    "noisy, latency": How(settings=how("latency"), sigma_y=0.1),
}


RESTORATIONS: Final = [
    (name, way) for name in ALL for way in HOWS if isinstance(ALL[name][0], SpectralOperator) or not HOWS[way].sigma_y
]


def asked(A: LinearOperator, shape: Shape, how: How, *, dtype: torch.dtype = torch.float64) -> list[Request[int]]:
    return [
        Request(
            y=A(rand(1, *shape, seed=n).clamp(-1, 1).to(dtype))[0],
            operator=A,
            seed=n,
            tag=n,
            sigma_y=how.sigma_y,
            start=0.3 * rand(*shape, seed=9 + n).to(dtype) if how.given else None,
        )
        for n in range(how.images)
    ]


SKILLS: Final = Skills(enlarges=(2, 4), dense=(4,), fills=True, colorizes=True)
OLD: Final = operators.Composition(
    parts=(operators.Colorization(), PARTS[1], operators.Inpainting(keep=masks.scratches(24, 36)))
)
STARTED: Final[dict[str, tuple[LinearOperator, Shape, float, int]]] = {
    "enlarged": (PARTS[1], (3, 32, 32), 0.0, 0),
    "enlarged densely": (SuperResolution(scale=4), (3, 32, 32), 0.0, 0),
    "filled": (operators.Inpainting(keep=masks.random(32, 30, lost=0.3)), (3, 32, 30), 0.0, 3),
    "coloured": (operators.Colorization(), (3, 30, 40), 0.0, 0),
    "coloured, noisy": (operators.Colorization(), (3, 30, 40), 0.1, 2),
    "old photograph": (OLD, (3, 48, 72), 0.0, 3),
    "old photograph, noisy": (OLD, (3, 48, 72), 0.1, 3),
}
"""Examples with the noise of y, and the number of questions to the device in a start."""


def unet() -> nn.Module:
    from tests.deqir.unets import small_unet

    return small_unet(attention=True)


NETWORKS: Final[dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], Denoiser]]]] = {
    "denoiser": (lambda: FFDNet(width=8, depth=3), lambda net: DenoiserPrior(net, max_noise=0.3)),
    "grey": (lambda: FFDNet(channels=1, width=8, depth=3), lambda net: Channelwise(DenoiserPrior(net, max_noise=0.3))),
    "drunet": (lambda: DRUNet(width=4, blocks=1), lambda net: DenoiserPrior(net, max_noise=0.3)),
    "pyramid": (
        lambda: PyramidDenoiser(width=4, blocks=1, coarse_width=4, coarse_blocks=1, levels=2),
        lambda net: DenoiserPrior(net, max_noise=0.3),
    ),
    "unet": (unet, lambda net: UNetPrior(net, NoiseSchedule.linear())),
    "unet of images": (unet, lambda net: UNetPrior(net, NoiseSchedule.cosine(), prediction="sample")),
}


def twins(make: Callable[[], Network], device: torch.device) -> tuple[Network, Network]:
    """The same network on the CPU and on a device."""
    torch.manual_seed(0)
    here, there = make().eval().requires_grad_(False), make().eval().requires_grad_(False)
    there.load_state_dict(here.state_dict())
    return here, there.to(device)


def moved(sampler: Sampler, device: torch.device) -> Sampler:
    """The same chains on a device."""
    tensors = {name: getattr(sampler, name).to(device) for name in ("pinv_y", "start", "guess", "noise")}
    return replace(sampler, **tensors)


def in_iterations(wait: str) -> bool:
    """True if the device was waited for in the iterations of an operator's A^+."""
    return "krylov.py" in wait or "matrix_free.py" in wait


def waits_of(name: str, way: str, rounds: int) -> int:
    """Number of waits for the device: once a round, and at the start and end of each image."""
    how = HOWS[way]
    at_end = 3 if how.settings.mode == "paper" else 1  # statistics
    at_start = 0 if how.given else (ASKED_OF_NOISY if how.sigma_y else ASKED_AT_START).get(name, 0)
    return rounds + how.images * (at_start + at_end)
