"""Degradations that act on rows and on columns: downsampling by any kernel, and blur, through an SVD of each axis.

A = rows (x) columns, so each singular value of A is a product s_r s_c of a singular value of each axis. Beyond its
borders the image is mirrored, its outermost pixels doubled: (c b a | a b c | c b a).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

from torch import Tensor
from torch.nn import functional

from deqir.linalg.axes import NOISE_DAMPING, Separable, both, check_damping, check_sides
from deqir.linalg.sharpening import UnsharpMask
from deqir.operators import kernels
from deqir.protocols import Gain
from deqir.shapes import Float

NAMED: Final = {"bicubic": kernels.bicubic, "lanczos": kernels.lanczos}
"""The kernels with a name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _OfAxes:
    """The common part of the operators: A by the algebra of its two axes."""

    _axes: Separable = field(init=False, repr=False)

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        return self._axes.image_shape(y_shape)

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C h w"]:
        return self._axes.apply(x)

    def adjoint(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        return self._axes.adjoint(y)

    def pinv(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        return self._axes.pinv(y)

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        return self._axes.filter(v, gain)

    def _corrected(self, x: Float[Tensor, "B C H W"], y: Float[Tensor, "B C h w"], damping: float) -> Tensor:
        """Return x + (A^T A + damping^2)^-1 A^T (y - A x)."""
        return x + self._axes.back(y - self(x), lambda s: s / (s**2 + damping**2))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelSuperResolution(_OfAxes):
    """y is x filtered by a separable kernel, with only the middle value of each block of `scale` pixels kept.

    A^+ (in `pinv`, `start` and `filter`) leaves out singular values at or below `threshold` times the largest; A and
    its adjoint have all of them. Sides of x must be multiples of the scale.

    Attributes:
        scale: Side of a block in pixels; a pair (down, across) if they differ.
        kernel: 1-D, the picture of a point; a pair (down, across) if they differ; "bicubic" or "lanczos": the
            antialiased kernel of the scale.
        threshold: Singular values up to this share of the largest are cut. Bicubic and Lanczos kernels only have
            larger singular values than the default.
        sharpening: y was sharpened after it was made smaller; None: it was not.

    Raises:
        ValueError: The scale is below 1, the threshold outside of 0..1, a kernel is unknown, not 1-D or sums to 0, or
            y was sharpened after a kernel that is not symmetric about the middle of its block.
    """

    scale: int | tuple[int, int] = 4
    kernel: Literal["bicubic", "lanczos"] | Tensor | tuple[Tensor, Tensor] = "bicubic"
    threshold: float = 0.03
    start_noise: float = 49 / 255
    sharpening: UnsharpMask | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_axes", self._separable())

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C h w"]:
        check_sides("KernelSuperResolution", self.scale, x.shape)
        return self._axes.apply(x)

    def start(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        """Return y without its sharpening enlarged bicubically, then corrected by A^+ to agree with y."""
        smooth = self._interpolated(y)
        return smooth + self.pinv(y - self(smooth))

    guess = start

    def unsharpened(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C h w"]:
        """Return y with the sharpening undone: the filtered image before it."""
        return self._axes.sharpened(y, -1)

    def start_of_noisy(self, y: Float[Tensor, "B C h w"], sigma_y: float, /) -> Float[Tensor, "B C H W"]:
        """Return y enlarged bicubically, then corrected by (A^T A + damping^2)^-1 A^T as far as the noise allows."""
        damping = NOISE_DAMPING * sigma_y / math.sqrt(math.prod(both(self.scale)))
        return self._corrected(self._interpolated(y), y, damping)

    def _interpolated(self, y: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
        _, height, width = self.image_shape(tuple(y.shape))
        return functional.interpolate(self.unsharpened(y), (height, width), mode="bicubic", align_corners=False)

    def _separable(self) -> Separable:
        down, across = both(self.scale)
        if min(down, across) < 1:
            raise ValueError(f"KernelSuperResolution needs a scale of at least 1, got {self.scale}")
        strides, made = (down, across), NAMED.get(self.kernel) if isinstance(self.kernel, str) else None
        if not isinstance(self.kernel, str):
            pair = both(self.kernel)
        elif made is None:
            raise ValueError(f'the kernel is "bicubic", "lanczos" or a tensor of weights, got {self.kernel!r}')
        else:
            pair = (made(down), made(across))
        return Separable.of(pair, strides, self.threshold, mask=self.sharpening)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeparableDeblurring(_OfAxes):
    """y is x blurred by a kernel down the columns and a kernel along the rows, mirrored at the borders.

    A^+ leaves out singular values at or below `threshold` times the largest, as in `KernelSuperResolution`. Rounding
    y to 8 bits adds noise of 0.0011 (images in [0, 1]), which A^+ amplifies by up to 1 / threshold. A threshold of
    0.02 is safe for sigma_y = 0; 0.001 keeps more detail if sigma_y gives the noise and the boundary is true.

    Attributes:
        kernel: 1-D, the picture of a point; a pair (down, across) if they differ.
        threshold: Singular values up to this share of the largest are cut.
        damping: Singular value below which `start` no longer trusts y.

    Raises:
        ValueError: The threshold is outside of 0..1, the damping not above 0, or a kernel is not 1-D or sums to 0.
    """

    kernel: Tensor | tuple[Tensor, Tensor]
    threshold: float = 0.02
    damping: float = 0.015
    start_noise: float = 49 / 255

    def __post_init__(self) -> None:
        check_damping(self.damping)
        object.__setattr__(self, "_axes", Separable.of(both(self.kernel), (1, 1), self.threshold))

    def start(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        """Return y + (A^T A + damping^2)^-1 A^T (y - A y): y, sharpened as far as is safe.

        Detail wiped out by the blur stays as in y; noise of y grows by a factor of 1 / (2 damping) at most.
        """
        return self._corrected(y, y, self.damping)

    guess = start

    def start_of_noisy(self, y: Float[Tensor, "B C H W"], sigma_y: float, /) -> Float[Tensor, "B C H W"]:
        """Return the start with the damping raised as far as the noise in y needs it."""
        return self._corrected(y, y, max(self.damping, NOISE_DAMPING * sigma_y))
