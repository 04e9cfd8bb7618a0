"""Super-resolution by average pooling."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from deqir.shapes import Float


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperResolution:
    """y is the mean of each scale x scale block of x. Any integer scale, any number of channels."""

    scale: int = 4
    start_noise: float = 49 / 255

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise ValueError(f"SuperResolution needs a scale of at least 1, got {self.scale}")

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        channels, height, width = y_shape[-3:]
        return channels, height * self.scale, width * self.scale

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C h w"]:
        if x.shape[-2] % self.scale or x.shape[-1] % self.scale:
            raise ValueError(
                f"SuperResolution(scale={self.scale}) needs sides divisible by {self.scale}, "
                f"got {tuple(x.shape[-2:])}; crop or pad the image first"
            )
        return functional.avg_pool2d(x, self.scale)

    def pinv(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        return y.repeat_interleave(self.scale, -2).repeat_interleave(self.scale, -1)

    def adjoint(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        return self.pinv(y) / self.scale**2

    def start(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        """Return bicubic interpolation, shifted block by block to agree with y."""
        smooth = self.guess(y)
        return smooth + self.pinv(y - self(smooth))

    def guess(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        """Return bicubic interpolation as it is: a parallel solve learns more from it than from `start`.

        What it lacks along edges, the first round puts right, and shows the secant surrogate how edges change.
        """
        return functional.interpolate(y, scale_factor=self.scale, mode="bicubic", align_corners=False)
