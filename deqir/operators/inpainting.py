"""Inpainting: some pixels are known, the others are not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from deqir.shapes import Bool, Float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inpainting:
    """y keeps the pixels where `keep` is true and is zero elsewhere, in every channel.

    Attributes:
        keep: Which pixels are known, shape (H, W).

    Raises:
        ValueError: `keep` is not a plane of booleans, or nothing is kept.
    """

    keep: Bool[Tensor, "H W"]
    start_noise: float = 49 / 255

    def __post_init__(self) -> None:
        if self.keep.dtype != torch.bool or self.keep.ndim != 2:
            raise ValueError(
                f"Inpainting needs a mask of booleans of shape (H, W), got {self.keep.dtype} {tuple(self.keep.shape)}"
            )
        if not bool(self.keep.any()):
            raise ValueError("the mask keeps no pixel at all: nothing to restore from; is it inverted?")

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        channels, height, width = y_shape[-3:]
        if (height, width) != self.keep.shape:
            raise ValueError(
                f"the mask is {tuple(self.keep.shape)} (height, width) but the image is {(height, width)}; "
                "an inpainting mask must have its image's size"
            )
        return channels, height, width

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        self.image_shape(x.shape)
        return x * self.keep.to(x)

    adjoint = pinv = __call__  # an orthogonal projection is its own transpose and inverse

    def start(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        """Return y with the gaps filled by diffusion from their borders."""
        return diffused_fill(self(y), self.keep)

    guess = start


def diffused_fill(
    y: Float[Tensor, "B C H W"], keep: Bool[Tensor, "H W"], *, sweeps: int = 32
) -> Float[Tensor, "B C H W"]:
    """Return y where `keep`, elsewhere a smooth fill that solves Laplace's equation approximately.

    Coarse to fine: gaps take the mean of the known pixels of ever larger blocks, then at each size `sweeps`
    relaxations let every gap pixel take the mean of its four neighbours.
    """
    known = keep.to(y)[None, None]
    if min(y.shape[-2:]) > 1 and not bool(keep.all()):
        weight = functional.avg_pool2d(known, 2, ceil_mode=True, count_include_pad=False)
        mean = functional.avg_pool2d(y * known, 2, ceil_mode=True, count_include_pad=False)
        coarse_keep = weight[0, 0] > 0
        coarse = torch.where(coarse_keep, mean / weight.clamp(min=1e-6), 0.0)
        filled = diffused_fill(coarse, coarse_keep, sweeps=sweeps)
        fine = functional.interpolate(filled, size=y.shape[-2:], mode="bilinear", align_corners=False)
    else:
        total = known.sum().clamp(min=1)
        fine = ((y * known).sum((-2, -1), keepdim=True) / total).expand_as(y)
    x = torch.where(keep, y, fine)
    for _ in range(sweeps):
        around = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        mean = around[..., :-2, 1:-1] + around[..., 2:, 1:-1] + around[..., 1:-1, :-2] + around[..., 1:-1, 2:]
        x = torch.where(keep, y, mean / 4)
    return x
