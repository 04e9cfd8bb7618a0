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
    """A `Denoiser` with convolutions and products in half precision; its result has x_t's precision.

    Attributes:
        denoiser: The network, with weights in single precision.
        dtype: bfloat16 or float16.
    """

    denoiser: Denoiser
    dtype: torch.dtype

    def __call__(self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /) -> Float[Tensor, "N C H W"]:
        with torch.autocast(x_t.device.type, self.dtype):
            return self.denoiser(x_t, alpha_bar).to(x_t)


def in_half_precision(prior: Prior, dtype: torch.dtype = torch.float16) -> Prior:
    """Return a prior with its network in half precision.

    A network for images rather than noise loses quality with every bit: docs/performance.md has the distances of the
    results from single precision.

    Args:
        prior: A prior in single precision; the change holds for all its replicas.
        dtype: float16 keeps 11 bits of each number, bfloat16 8.

    Raises:
        ValueError: `dtype` is no half precision.
    """
    if dtype not in HALVES:
        raise ValueError(f"half precision is torch.float16 or torch.bfloat16, got {dtype}")
    return replace(prior, denoiser=HalfPrecision(prior.denoiser, dtype))
