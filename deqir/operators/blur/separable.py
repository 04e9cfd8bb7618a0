"""Degradations that act on rows and on columns: downsampling by any kernel, and blur, through an SVD of each axis.

A = rows (x) columns, so a singular value of A is a product s_r s_c of one of each axis. The image goes on beyond its
borders as in a mirror that stands on the border, its outermost pixels doubled: (c b a | a b c | c b a).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor
from torch.nn import functional

from deqir.linalg.axes import NOISE_DAMPING, Separable, both, check_damping, check_sides
from deqir.operators import kernels
from deqir.protocols import Gain
from deqir.shapes import Float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelSuperResolution:
    """y is x under a separable kernel, of which every scale-th value is kept: the one in the middle of its block.

    Singular values at or below `threshold` times the largest are cut from A^+, in `pinv`, `start` and `filter`: it is
    the inverse of A without them. A and its adjoint have them all. Sides of x must be multiples of the scale.

    Attributes:
        scale: How many pixels become one, down and across where they differ.
        kernel: 1-D, the picture of a point; a pair where it is another down than across; "bicubic": the cubic,
            antialiased one of the scale.
        threshold: The share of the largest singular value up to which they are cut. Those of bicubic kernels all
            lie above the default.

    Raises:
        ValueError: The scale is below 1, the threshold outside of 0..1, or a kernel is unknown, not 1-D or sums to
            nothing.
    """

    scale: int | tuple[int, int] = 4
    kernel: Literal["bicubic"] | Tensor | tuple[Tensor, Tensor] = "bicubic"
    threshold: float = 0.03
    start_noise: float = 49 / 255
    _axes: Separable = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_axes", self._separable())

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        return self._axes.image_shape(y_shape)

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C h w"]:
        check_sides("KernelSuperResolution", self.scale, x.shape)
        return self._axes.apply(x)

    def adjoint(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        return self._axes.adjoint(y)

    def pinv(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        return self._axes.pinv(y)

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        return self._axes.filter(v, gain)

    def start(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        """Return bicubic interpolation, shifted by A^+ to agree with y."""
        smooth = self._interpolated(y)
        return smooth + self.pinv(y - self(smooth))

    guess = start

    def start_of_noisy(self, y: Float[Tensor, "B C h w"], sigma_y: float, /) -> Float[Tensor, "B C H W"]:
        """Return bicubic interpolation, drawn to y by (A^T A + damping^2)^-1 A^T as far as its noise allows."""
        smooth, damping = self._interpolated(y), NOISE_DAMPING * sigma_y / math.sqrt(math.prod(both(self.scale)))
        return smooth + self._axes.back(y - self(smooth), lambda s: s / (s**2 + damping**2))

    def _interpolated(self, y: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
        _, height, width = self.image_shape(tuple(y.shape))
        return functional.interpolate(y, (height, width), mode="bicubic", align_corners=False)

    def _separable(self) -> Separable:
        down, across = both(self.scale)
        if min(down, across) < 1:
            raise ValueError(f"KernelSuperResolution needs a scale of at least 1, got {self.scale}")
        if not isinstance(self.kernel, str):
            return Separable.of(both(self.kernel), (down, across), self.threshold)
        if self.kernel != "bicubic":
            raise ValueError(f'the kernel is "bicubic" or a tensor of weights, got {self.kernel!r}')
        return Separable.of((kernels.bicubic(down), kernels.bicubic(across)), (down, across), self.threshold)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeparableDeblurring:
    """y is x blurred by one kernel down the columns and one along the rows, with a mirror at the borders.

    Singular values at or below `threshold` times the largest are cut from A^+ as in `KernelSuperResolution`. Rounding
    y to 8 bits is noise of 0.0011 (images in [0, 1]) that A^+ multiplies by up to 1 / threshold: 0.02 is safe where y
    is taken for exact, and 0.001 keeps more detail where the noise is told (sigma_y) and the boundary true.

    Attributes:
        kernel: 1-D, the picture of a point; a pair where it is another down than across.
        threshold: The share of the largest singular value up to which they are cut.
        damping: The singular value below which `start` trusts y no longer.

    Raises:
        ValueError: The threshold is outside of 0..1, the damping not above 0, or a kernel is not 1-D or sums to
            nothing.
    """

    kernel: Tensor | tuple[Tensor, Tensor]
    threshold: float = 0.02
    damping: float = 0.015
    start_noise: float = 49 / 255
    _axes: Separable = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_damping(self.damping)
        object.__setattr__(self, "_axes", Separable.of(both(self.kernel), (1, 1), self.threshold))

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        return self._axes.image_shape(y_shape)

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        return self._axes.apply(x)

    def adjoint(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        return self._axes.adjoint(y)

    def pinv(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        return self._axes.pinv(y)

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        return self._axes.filter(v, gain)

    def start(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        """Return y + (A^T A + damping^2)^-1 A^T (y - A y): y with the detail that is safe to sharpen sharpened.

        What the blur has wiped out stays as it is in y; noise of y grows by 1 / (2 damping) at most.
        """
        return self._sharpened(y, self.damping)

    guess = start

    def start_of_noisy(self, y: Float[Tensor, "B C H W"], sigma_y: float, /) -> Float[Tensor, "B C H W"]:
        """Return the same with a damping that the noise in y asks for."""
        return self._sharpened(y, max(self.damping, NOISE_DAMPING * sigma_y))

    def _sharpened(self, y: Tensor, damping: float) -> Tensor:
        return y + self._axes.back(y - self._axes.apply(y), lambda s: s / (s**2 + damping**2))
