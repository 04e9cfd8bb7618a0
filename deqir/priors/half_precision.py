"""The network in half precision; states, steps and scans stay in the precision of the images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from deqir.protocols import Denoiser
from deqir.shapes import Float

from .prior import Prior

HALVES: Final = (torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True)
class HalfPrecision:
    """A `Denoiser` whose convolutions and products are taken in half precision; its answers are those of the question.

    Attributes:
        denoiser: With weights in single precision.
        dtype: bfloat16 or float16.
    """

    denoiser: Denoiser
    dtype: torch.dtype

    def __call__(self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /) -> Float[Tensor, "N C H W"]:
        with torch.autocast(x_t.device.type, self.dtype):
            return self.denoiser(x_t, alpha_bar).to(x_t)


def in_half_precision(prior: Prior, dtype: torch.dtype = torch.float16) -> Prior:
    """Return a prior whose network works in half precision.

    A network that predicts images rather than noise loses with every bit: see docs/performance.md for how far the
    results then are from those in single precision.

    Args:
        prior: Loaded in single precision; its replicas all work so.
        dtype: float16 keeps 11 bits of each number, bfloat16 8.

    Raises:
        ValueError: That is no half precision.
    """
    if dtype not in HALVES:
        raise ValueError(f"half precision is torch.float16 or torch.bfloat16, got {dtype}")
    return replace(prior, denoiser=HalfPrecision(prior.denoiser, dtype))
