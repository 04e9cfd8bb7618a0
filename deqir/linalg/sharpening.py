"""Sharpening of small images by an unsharp mask, as a diagonal of the cosines of their axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from deqir.shapes import Float

from .kernels import gaussian

AMOUNT: Final = 1.5
RADIUS: Final = 1.0
"""A mask in wide use: 150 % at a radius of one pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsharpMask:
    """The map y + amount (y - G y), where G is a Gaussian blur with mirrored borders.

    G multiplies each product of two cosines by g_i g_j, so the mask multiplies it by 1 + amount (1 - g_i g_j). These
    gains are at least 1: the mask can be undone without amplified noise. Programs clip the result to 8 bits, which is
    not part of the map.

    Attributes:
        amount: Strength; 1.5 is called 150 % elsewhere.
        radius: Standard deviation of G in pixels of y.

    Raises:
        ValueError: The amount or the radius is not above 0.
    """

    amount: float = AMOUNT
    radius: float = RADIUS

    def __post_init__(self) -> None:
        for name, value in (("amount", self.amount), ("radius", self.radius)):
            if not 0 < value < math.inf:
                raise ValueError(f"the {name} of a sharpening must be a number above 0, got {value}")

    def gains(self, like: Float[Tensor, "... h w"]) -> Float[Tensor, "h w"]:
        """Return the factors of the cosines of an image, where it is and in its precision."""
        height, width = like.shape[-2:]
        return _gains(self, height, width, like.dtype, like.device)


@lru_cache(maxsize=8)
def _gains(mask: UnsharpMask, height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # the next caller of a cached tensor may want gradients
        down, across = (_response(mask.radius, length) for length in (height, width))
        return (1 + mask.amount * (1 - torch.outer(down, across))).to(device, dtype)


def _response(radius: float, length: int) -> Float[Tensor, " length"]:
    """Return the factors by which a Gaussian blur multiplies the cosines of an axis."""
    taps = gaussian(radius)
    offset = torch.arange(len(taps), dtype=torch.float64) - len(taps) // 2
    frequency = math.pi / length * torch.arange(length, dtype=torch.float64)
    return torch.cos(frequency[:, None] * offset) @ taps
