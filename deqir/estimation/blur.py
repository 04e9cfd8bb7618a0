"""Width of the blur of an image, from the spectrum of its sharpest blocks."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from deqir.shapes import Float

from .results import ROUNDING, Estimate, in_levels
from .softness import least_residual
from .spectrum import block_powers, blurred_natural_levels, pooled, quiet_floor, sharpest

WIDTHS: Final = (0.0, *(0.3 * 1.17**n for n in range(27)))
"""Standard deviations that are tried, in pixels: to 18."""
OWN: Final = 0.15
"""Variance of a photograph's own blur, in pixels squared: the middle one of many at the size they are shown at."""
SPREAD: Final = 0.35
"""How far from it the variance of a photograph's blur may be, beside a share of the whole."""
SHARE, SHARE_OF_WIDE = 0.3, 0.5
WIDE: Final = 1 / 64
"""Of the image's shorter side."""
UNLIKE: Final = 0.5
AS_GOOD: Final = 0.02
"""Widths whose residual is larger than the best by no more than this are in the interval."""
COARSEST: Final = 8
SMALLEST_SIDE: Final = 32
TELLING: Final = 3.0
FEWEST_TELLING: Final = 3
"""Power above the floor, as a factor, at which a frequency tells of the blur, and how many of them have to."""


def estimate_blur(image: Float[Tensor, "C H W"]) -> Estimate | None:
    """Return the standard deviation, in pixels, of the Gaussian that an image in [-1, 1] seems blurred by.

    The tenth of the blocks that is sharpest is taken for what the lens could do. Their spectrum is compared with those
    of a random field with the spectrum of photographs (1/f^2, with some freedom), blurred by Gaussians, plus a floor
    of noise. None where too little of the image is free of clipping, no width is near (JPEG at low quality and most
    upscaling cut the spectrum in another shape), or too many are, as in images without detail. Blurs wider than a
    thirtieth of the image are underestimated; those of less than half a pixel are not told from a soft photograph.

    Raises:
        ValueError: It is not an image, or holds nan or inf.
    """
    plane, channels, factor = in_levels(image).mean(0), len(image), 1
    while True:
        powers = block_powers(pooled(plane, factor))
        if powers is None:
            return None
        quiet, power = quiet_floor(powers), sharpest(powers)
        telling = int((power > TELLING * quiet).sum())
        if telling > len(power) // 3 or factor == COARSEST or min(plane.shape) < 2 * factor * SMALLEST_SIDE:
            break
        factor *= 2
    if telling < FEWEST_TELLING:
        return None
    floor = ROUNDING / channels / factor**2
    residuals = torch.tensor(
        [least_residual(power, made, floor=floor, quiet=quiet) for made in _expected(2 * len(power), factor)]
    )
    best, near = int(residuals.argmin()), (residuals <= residuals.min() + AS_GOOD).nonzero().flatten()
    narrowest, widest = int(near[0]), int(near[-1])
    if float(residuals[best]) > UNLIKE or widest == len(WIDTHS) - 1:
        return None
    width = _between(residuals, best)
    share = SHARE if width <= WIDE * min(plane.shape) else SHARE_OF_WIDE
    return _estimate(width, WIDTHS[narrowest], WIDTHS[widest], share=share)


@lru_cache(maxsize=16)
def _expected(side: int, factor: int) -> tuple[Float[Tensor, " K"], ...]:
    """Return the spectrum that blocks of a field blurred by each of the widths have, after shrinking."""
    found = []
    for width in WIDTHS:
        powers = block_powers(pooled(blurred_natural_levels(width), factor), side=side)
        if powers is None:
            raise ValueError(f"blocks of {side} pixels shrunk by {factor} are larger than the field")
        found.append(powers.mean(0))
    return tuple(found)


def _between(residuals: Tensor, best: int) -> float:
    """Return the width at the lowest point of a parabola through the best residual and its neighbours."""
    if not 1 < best < len(WIDTHS) - 1:
        return WIDTHS[best]
    left, middle, right = (float(residuals[best + step]) for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    step = 0.5 * (left - right) / bend if bend > 0 else 0.0
    ratio = WIDTHS[best + 1] / WIDTHS[best]
    return float(WIDTHS[best] * ratio**step)


def _estimate(width: float, narrowest: float, widest: float, *, share: float) -> Estimate:
    own = max(0.0, width**2 - OWN)
    slack = SPREAD + share * own
    low = min(max(0.0, own - slack) ** 0.5, narrowest)
    return Estimate(value=own**0.5, low=low, high=max((own + slack) ** 0.5, widest))
