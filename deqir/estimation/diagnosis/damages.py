"""Noise, grain and blur of a photograph, with intervals."""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor

from deqir.estimation.noise import NoiseEstimate
from deqir.estimation.results import Estimate
from deqir.shapes import Float

from .learned import network
from .spectra import spectral_numbers

SHIFT: Final = 0.5
"""Levels added to noise before its logarithm is learned."""
VAGUE_NOISE: Final = (10.0, 1.8)
"""Longest interval of a told noise: levels, or a multiple of the value."""
VAGUE_BLUR: Final = (1.6, 1.2)
"""Longest interval of a told blur: pixels, or a multiple of the value."""
LEAST_WITH_COLOUR: Final = 1.5
"""Noise in levels, at the lower end of its interval, from which its grain is told."""


def damages_of(
    levels: Float[Tensor, "C H W"], table: Float[Tensor, "8 8"] | None
) -> tuple[NoiseEstimate | None, Estimate | None]:
    """Return the noise and the blur of a photograph in levels; None for each that it does not tell.

    Args:
        levels: The image, with JPEG's blocks on its corner if it has any.
        table: JPEG's steps of luma; None: never a JPEG.
    """
    numbers = spectral_numbers(levels, table)
    if numbers is None:
        return None, None
    luma, channel, blur, grain = network("damage")(numbers).reshape(4, 3).sort(1).values.tolist()
    return _noise(len(levels), luma, channel, grain), _told(_interval(blur), VAGUE_BLUR, 1.0)


def _noise(channels: int, luma: list[float], channel: list[float], grain: list[float]) -> NoiseEstimate | None:
    sigma = _interval([(math.exp(each) - SHIFT) / 255 for each in channel])
    if _told(sigma, VAGUE_NOISE, 1 / 255) is None:
        return None
    return NoiseEstimate(
        sigma=sigma,
        channels=(sigma.value,) * channels,
        luma=_interval([(math.exp(each) - SHIFT) / 255 for each in luma]),
        grain=_interval(grain) if sigma.low * 255 >= LEAST_WITH_COLOUR else None,
    )


def _interval(quantiles: list[float]) -> Estimate:
    low, value, high = (max(0.0, each) for each in quantiles)
    return Estimate(value=value, low=low, high=high)


def _told(estimate: Estimate, longest: tuple[float, float], unit: float) -> Estimate | None:
    """Return an estimate unless its interval is too long to be of use."""
    length = estimate.high - estimate.low
    return estimate if length <= longest[0] * unit or length <= longest[1] * estimate.value else None
