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
"""Standard deviations to try, in pixels, up to 18."""
OWN: Final = 0.15
"""Variance of a photograph's own blur, in pixels squared: the median of many photographs at the size they are shown."""
SPREAD: Final = 0.35
"""Half the interval of a photograph's own variance around `OWN`; a share of the whole variance is added."""
SHARE, SHARE_OF_WIDE = 0.3, 0.5
WIDE: Final = 1 / 64
"""Width from which `SHARE_OF_WIDE` applies, as a share of the image's shorter side."""
UNLIKE: Final = 0.5
AS_GOOD: Final = 0.02
"""Widths with a residual up to this much above the best belong to the interval."""
COARSEST: Final = 8
SMALLEST_SIDE: Final = 32
TELLING: Final = 3.0
FEWEST_TELLING: Final = 3
"""Factor above the noise floor for the power of a frequency to count, and the fewest frequencies to count."""


def estimate_blur(image: Float[Tensor, "C H W"]) -> Estimate | None:
    """Return the standard deviation, in pixels, of the Gaussian blur of an image in [-1, 1].

    The sharpest tenth of the blocks shows the lens at its best. Their spectrum is compared with the spectra of a
    random field with the spectrum of photographs (1/f^2, with some freedom), blurred by Gaussians, plus a floor of
    noise. None if too little of the image is free of clipping, if no width fits (JPEG at low quality and most upscaling
    cut the spectrum in another shape), or if too many fit, as in images without detail. Blurs wider than a thirtieth of
    the image are underestimated; blurs below half a pixel cannot be told from a soft photograph.

    Raises:
        ValueError: The input is not an image, or holds nan or inf.
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
    own = max(0.0, width**2 - OWN)
    slack = SPREAD + share * own
    low, high = max(0.0, own - slack) ** 0.5, (own + slack) ** 0.5
    return Estimate(value=own**0.5, low=min(low, WIDTHS[narrowest]), high=max(high, WIDTHS[widest]))


@lru_cache(maxsize=16)
def _expected(side: int, factor: int) -> tuple[Float[Tensor, " K"], ...]:
    """Return for each width the spectrum of the blocks of a field blurred by it, after shrinking."""
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
