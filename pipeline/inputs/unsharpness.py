"""The noise and the blur of a photograph out of focus, on the side where a mistake does no harm."""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor

from deqir.estimation import diagnose, estimate_jpeg, estimate_noise
from deqir.estimation.jpeg import typical_error
from pipeline.errors import UncertainError

from .treatment import LEAST_BLUR, cautious

UNTOLD_NOISE: Final = 5 / 255
"""Noise of an image that tells of none, because it is small or clipped: as much as grainy photographs have."""


def likely_noise(pixels: Tensor) -> float | None:
    """Return the most noise that an image, shape (c, h, w), is likely to have, as a deviation of images in [0, 1].

    The error of JPEG is added to the upper end of the estimate: too little noise told ruins a deblurred image, too much
    only leaves some blur. None if too little of the image tells.
    """
    noise, jpeg = estimate_noise(pixels), estimate_jpeg(pixels)
    if noise is None and jpeg is None:
        return None
    high = 0.0 if noise is None else noise.sigma.high
    lost = 0.0 if jpeg is None else typical_error(jpeg.quality) / 2
    return math.hypot(high, lost)


def blur_width(pixels: Tensor) -> float:
    """Return the width in pixels by which an image, shape (c, h, w), is to be deblurred: rather too narrow.

    Raises:
        UncertainError: The image may be sharp, or its blur cannot be told.
    """
    found = diagnose(pixels).blur
    if found is None:
        raise UncertainError(
            "its blur cannot be told: it is small or flat, or no Gaussian blur fits; give the width (--width), or "
            "leave the image as it is"
        )
    if found.low < LEAST_BLUR:
        raise UncertainError(
            f"its blur cannot be told from none: it is {found.low:.1f} to {found.high:.1f} pixels wide; give the width "
            "(--width), or leave the image as it is"
        )
    return cautious(found)
