"""What a restoration is told of the noise in its image."""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor

from deqir.operators import FramedDeblurring
from deqir.protocols import LinearOperator

GREY: Final = math.sqrt(3)
"""By how much noise that is the same in three channels counts for more than noise that is different in each."""
ALIKE: Final = 1 / 4
"""Most by which the channels of a grey image differ, as a share of its noise: JPEG rounds each for itself."""


def sigma_of(noise: float, operator: LinearOperator, y: Tensor) -> float:
    """Return the sigma_y that a restoration is told: none where the operator's own tolerance allows for the noise.

    The network knows noise that is different in each channel. Where that of a grey image is the same in all three, it
    is all in their mean, in which noise of the first kind would be weaker by the root of 3.

    Args:
        noise: Of the image, as a standard deviation of images in [0, 1].
        operator: That is to be undone.
        y: What is observed, shape (c, h, w), in [-1, 1].
    """
    if isinstance(operator, FramedDeblurring):
        return 0.0
    return 2 * noise * (GREY if is_grey(y, noise) else 1.0)


def in_each_channel(sigma_y: float, y: Tensor) -> float:
    """Return the noise in each channel of an observation whose restoration is told of sigma_y, in the same unit."""
    return sigma_y / GREY if is_grey(y, sigma_y / 2 / GREY) else sigma_y


def is_grey(y: Tensor, noise: float) -> bool:
    """Return whether the channels of an observation, shape (c, h, w), are one and the same, beside its noise."""
    if len(y) == 1 or not noise:
        return False
    differences = y - y.mean(0, keepdim=True)
    return float(differences.square().mean().sqrt()) < ALIKE * 2 * noise
