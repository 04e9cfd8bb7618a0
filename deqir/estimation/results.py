"""The result of an estimator: a value with its interval."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from deqir.shapes import Float

LEVELS = 127.5
"""8-bit levels in a unit of images in [-1, 1]."""
ROUNDING = 1 / 12
"""Variance of rounding to whole levels, in levels squared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number estimated from an image.

    Attributes:
        low, high: The interval; it held the truth for nine photographs in ten (docs/estimation.md).
    """

    value: float
    low: float
    high: float


def in_levels(image: Float[Tensor, "C H W"]) -> Float[Tensor, "C H W"]:
    """Return an image in [-1, 1] as float32 in 8-bit levels, 0 to 255.

    Raises:
        ValueError: The input is not an image, or holds nan or inf.
    """
    if image.ndim != 3 or not image.numel():
        raise ValueError(
            f"an estimate needs one image, (channels, height, width), got {tuple(image.shape)}; from a batch, take "
            "one image: images[0]"
        )
    values = (image.detach().float().cpu() + 1) * LEVELS
    if not bool(values.isfinite().all()):
        raise ValueError("the image holds nan or inf")
    return values


def clipped(levels: Tensor) -> Tensor:
    """Return a mask of the values at an end of the range, where noise and edges are cut off."""
    return (levels < 0.5) | (levels > 254.5)
