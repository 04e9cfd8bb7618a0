"""Super-resolution by average pooling."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from deqir.linalg.axes import both, check_sides
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
