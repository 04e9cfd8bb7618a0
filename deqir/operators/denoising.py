"""Denoising: every pixel is known, up to noise."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from deqir.linalg.spectral import same_shape, two_valued
from deqir.protocols import Gain
from deqir.shapes import Float


@dataclass(frozen=True, slots=True, kw_only=True)
class Denoising:
    """y is x: A = I. Only useful for a noisy y; without noise the restored image is y.

    Attributes:
        start_noise: At least the noise in y, as the start is y itself.
    """

    start_noise: float = 50 / 255

    image_shape = same_shape

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        return x.clone()

    adjoint = pinv = start = guess = __call__

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        return two_valued(self, v, gain, 1.0)
