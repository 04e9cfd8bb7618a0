"""The cost and gain of torch.compile, compared with plain networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.hardware.memory import FEW_CALLS
from deqir.priors import DenoiserPrior, FFDNet
from deqir.priors.prior import captured

from .networks import KNOWN_NOISE, ffdnet, question, timed
from .precisions import unrecorded, working_in
from .trials import Row, clock_of


class Plain(nn.Module):
    """An FFDNet layer by layer, for a compiler to fuse."""

    def __init__(self, network: FFDNet) -> None:
        super().__init__()
        self.model = network.model

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        h = functional.pixel_unshuffle(image, 2)
        plane = noise[:, None, None, None].expand(-1, 1, *h.shape[-2:])
        denoised: Tensor = self.model(torch.cat([h, plane], 1))
        return functional.pixel_shuffle(denoised, 2)


def compiled(device: torch.device, size: int, batch: int) -> Iterator[Row]:
    """Yield the speed of an FFDNet in float16, as it is and compiled, its calls recorded and not."""
    prior = ffdnet(device)
    denoiser = unrecorded(prior).denoiser
    assert isinstance(denoiser, DenoiserPrior)
    assert isinstance(denoiser.network, FFDNet)
    network: nn.Module = torch.compile(Plain(denoiser.network), dynamic=False)  # type: ignore[assignment]
    fast = captured(replace(prior, denoiser=DenoiserPrior(network, max_noise=KNOWN_NOISE)))
    to_compile = dict[str, float]()
    for name, worker in {"as it is": prior, "compiled": fast}.items():
        if worker is fast:
            clock = clock_of(device)
            began = clock()
            with torch.inference_mode():
                working_in(unrecorded(fast), "float16")(*question(device, batch, size))
            to_compile[name] = clock() - began
        for how, it, warm in ((name, unrecorded(worker), 2), (f"{name}, recorded", worker, FEW_CALLS + 2)):
            seconds = timed(it, "float16", batch, size, warm=warm)
            yield {
                "network": prior.name,
                "pixels": size,
                "batch": batch,
                "how": how,
                "s to compile": to_compile.get(how, ""),
                "evaluations/s": batch / seconds if seconds else "",
            }
