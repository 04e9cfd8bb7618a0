"""Noise, grain and blur of a photograph, with intervals."""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor

from deqir.estimation.noise import GRAIN, NoiseEstimate, estimate_noise
from deqir.estimation.results import LEVELS, Estimate
from deqir.shapes import Float

from .learned import network
from .spectra import spectral_numbers

SHIFT: Final = 0.5
"""Levels added to noise before its logarithm is learned."""
VAGUE_NOISE: Final = (8.0, 1.8)
"""Longest interval of the luma's noise for it to be told: levels, or a multiple of the value."""
VAGUE_BLUR: Final = (2.0, 1.5)
"""Longest interval of a told blur: pixels, or a multiple of the value."""
TOWARDS_MORE_NOISE: Final = 0.3
TOWARDS_LESS_BLUR: Final = 0.1
"""Share of the way from the median to an end of the interval: too little noise or too much blur ruins an image.

Chosen on 13 photographs held back from the training: 81 % of the values of noise are useful, for 79 % of the medians.
"""
LUMA_OF_OWN: Final = 0.668
"""Noise of the luma, by the noise of a channel, where each channel has its own."""
LEAST_WITH_COLOUR: Final = 2.0
"""Noise in levels from which its grain is told."""


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
    noise = _noise(luma, channel, grain, levels=levels, compressed=table is not None)
    return noise, _told(_interval(blur, -TOWARDS_LESS_BLUR), VAGUE_BLUR, 1.0)


def _noise(
    luma: list[float], channel: list[float], grain: list[float], *, levels: Float[Tensor, "C H W"], compressed: bool
) -> NoiseEstimate | None:
    of_luma, sigma = (_in_shares(_interval(each, TOWARDS_MORE_NOISE, least=-math.inf)) for each in (luma, channel))
    if _told(of_luma, VAGUE_NOISE, 1 / 255) is None:
        return None
    smooth = _interval(grain)
    if compressed and len(levels) > 1:  # JPEG takes the chroma's noise away: each channel may have had its own
        high = max(sigma.high, of_luma.high / LUMA_OF_OWN)
        sigma = Estimate(value=sigma.value, low=min(sigma.low, of_luma.low), high=high)
    if not compressed and smooth.high <= GRAIN:
        sigma = _narrowed(sigma, levels)
    return NoiseEstimate(
        sigma=sigma,
        channels=(sigma.value,) * len(levels),
        luma=of_luma,
        grain=smooth if sigma.value * 255 >= LEAST_WITH_COLOUR else None,
    )


def _narrowed(sigma: Estimate, levels: Float[Tensor, "C H W"]) -> Estimate:
    """Return the overlap with the estimate of white noise, which is more exact where nothing was compressed."""
    white = estimate_noise(levels / LEVELS - 1)
    if white is None or white.sigma.low > sigma.high or white.sigma.high < sigma.low:
        return sigma
    low, high = max(sigma.low, white.sigma.low), min(sigma.high, white.sigma.high)
    return Estimate(value=min(max(white.sigma.value, low), high), low=low, high=high)


def _interval(quantiles: list[float], towards: float = 0.0, *, least: float = 0.0) -> Estimate:
    """Return the interval of three quantiles, and a value on the way from the median to one of its ends."""
    low, value, high = (max(least, each) for each in quantiles)
    return Estimate(value=value + abs(towards) * ((high if towards > 0 else low) - value), low=low, high=high)


def _in_shares(logarithm: Estimate) -> Estimate:
    """Return noise as a share of the range, from the logarithm of its shifted levels."""
    low, value, high = (
        max(0.0, math.exp(each) - SHIFT) / 255 for each in (logarithm.low, logarithm.value, logarithm.high)
    )
    return Estimate(value=value, low=low, high=high)


def _told(estimate: Estimate, longest: tuple[float, float], unit: float) -> Estimate | None:
    """Return an estimate unless its interval is too long to be of use."""
    length = estimate.high - estimate.low
    return estimate if length <= longest[0] * unit or length <= longest[1] * estimate.value else None
