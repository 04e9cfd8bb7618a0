"""The noise in an image, as a restoration needs it."""

from __future__ import annotations

from typing import Final

from torch import Tensor

from deqir.operators import FramedDeblurring
from deqir.protocols import LinearOperator
from deqir.sampling.noise import GREY

ALIKE: Final = 1 / 4
"""Most by which the channels of a grey image differ, as a share of its noise: JPEG rounds each for itself."""


def sigma_of(noise: float, operator: LinearOperator, y: Tensor) -> float:
    """Return sigma_y for a restoration: 0 if the operator's own tolerance allows for the noise.

    The noise of a grey image is the same in its three channels, and counts for more: see `GREY`.

    Args:
        noise: Of the image, as a standard deviation of images in [0, 1].
        operator: The operator to be undone.
        y: The observation, shape (c, h, w), in [-1, 1].
    """
    if isinstance(operator, FramedDeblurring):
        return 0.0
    return 2 * noise * (GREY if are_alike(y, noise) else 1.0)


def in_each_channel(sigma_y: float, y: Tensor) -> float:
    """Return the noise in each channel of an observation with a restoration's sigma_y, in the same unit."""
    return sigma_y / GREY if are_alike(y, sigma_y / 2 / GREY) else sigma_y


def are_alike(y: Tensor, noise: float) -> bool:
    """True if the channels of an observation, shape (c, h, w), are equal but for its noise."""
    if len(y) == 1 or not noise:
        return False
    differences = y - y.mean(0, keepdim=True)
    return float(differences.square().mean().sqrt()) < ALIKE * 2 * noise
