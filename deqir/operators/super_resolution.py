"""Super-resolution of block means, and of every n-th pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from deqir.linalg.axes import both, check_sides
from deqir.linalg.device_constant import Constant
from deqir.linalg.spectral import two_valued
from deqir.protocols import Gain
from deqir.shapes import Float


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperResolution:
    """y holds the mean of each block of x. Any number of channels; sides of x must be multiples of the scale.

    Attributes:
        scale: Side of a block in pixels, any integer; a pair (height, width) if they differ.
    """

    scale: int | tuple[int, int] = 4
    start_noise: float = 49 / 255

    def __post_init__(self) -> None:
        if min(both(self.scale)) < 1:
            raise ValueError(f"SuperResolution needs a scale of at least 1, got {self.scale}")

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        channels, height, width = y_shape[-3:]
        down, across = both(self.scale)
        return channels, height * down, width * across

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C h w"]:
        check_sides("SuperResolution", self.scale, x.shape)
        return functional.avg_pool2d(x, both(self.scale))

    def pinv(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        down, across = both(self.scale)
        return y.repeat_interleave(down, -2).repeat_interleave(across, -1)

    def adjoint(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        return self.pinv(y) / math.prod(both(self.scale))

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        return two_valued(self, v, gain, math.prod(both(self.scale)) ** -0.5)

    def start(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        """Return y enlarged bicubically, then shifted block by block to agree with y."""
        _, height, width = self.image_shape(tuple(y.shape))
        smooth = functional.interpolate(y, (height, width), mode="bicubic", align_corners=False)
        return smooth + self.pinv(y - self(smooth))

    guess = start


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestSuperResolution:
    """y holds one pixel of each block of x: A is a selection, and all its singular values are 1.

    Attributes:
        scale: Side of a block in pixels; a pair (height, width) if they differ.
        place: Row and column in its block of the kept pixel; None: the middle, (scale // 2). Pillow, scikit-image and
            OpenCV's INTER_NEAREST_EXACT keep the middle. OpenCV's INTER_NEAREST, torch's `interpolate` and slices
            [::n] keep the first pixel, (0, 0). y cannot show the place: a wrong one shifts the restored image.
        start_noise: Aliasing makes the start worse than the starts of other kernels.

    Raises:
        ValueError: The scale is below 1, or the place outside of the block.
    """

    scale: int | tuple[int, int] = 4
    place: tuple[int, int] | None = None
    start_noise: float = 49 / 255

    def __post_init__(self) -> None:
        if min(both(self.scale)) < 1:
            raise ValueError(f"NearestSuperResolution needs a scale of at least 1, got {self.scale}")
        if not all(0 <= place < scale for place, scale in zip(self.kept, both(self.scale), strict=True)):
            raise ValueError(f"the place {self.place} of the kept pixel is not in a block of scale {self.scale}")

    @property
    def kept(self) -> tuple[int, int]:
        """Row and column in its block of the kept pixel."""
        down, across = both(self.scale)
        return (down // 2, across // 2) if self.place is None else self.place

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        channels, height, width = y_shape[-3:]
        down, across = both(self.scale)
        return channels, height * down, width * across

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C h w"]:
        check_sides("NearestSuperResolution", self.scale, x.shape)
        (row, column), (down, across) = self.kept, both(self.scale)
        return x[..., row::down, column::across].clone()

    def pinv(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        (row, column), (down, across) = self.kept, both(self.scale)
        x = y.new_zeros(*y.shape[:-2], y.shape[-2] * down, y.shape[-1] * across)
        x[..., row::down, column::across] = y
        return x

    adjoint = pinv  # a selection's transpose is its pseudoinverse

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        return two_valued(self, v, gain, 1.0)

    def start(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        """Return y interpolated by cubics through the kept pixels."""
        axes = zip(y.shape[-2:], both(self.scale), self.kept, strict=True)
        down, across = (_through(length, scale, place).like(y) for length, scale, place in axes)
        smooth = down @ y @ across.mT
        return smooth + self.pinv(y - self(smooth))  # equal to y to the last bit

    guess = start


@lru_cache(maxsize=8)
def _through(length: int, scale: int, place: int) -> Constant:
    """Return the matrix (H, h) of cubic interpolation (a = -0.5) with the known values at place, place + scale, ..."""
    with torch.inference_mode(False):  # the next caller of a cached tensor may want gradients
        at = (torch.arange(length * scale, dtype=torch.float64) - place) / scale
        known = at.floor().long()[:, None] + torch.arange(-1, 3)
        distance = (at[:, None] - known).abs()
        inner = 1.5 * distance**3 - 2.5 * distance**2 + 1
        outer = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        weights = torch.where(distance <= 1, inner, outer)
        matrix = torch.zeros(length * scale, length, dtype=torch.float64)
        return Constant(matrix.scatter_add_(1, known.clamp(0, length - 1), weights))
