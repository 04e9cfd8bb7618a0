"""Inpainting: some pixels are known, the others are not."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from deqir.linalg.device_constant import Constant
from deqir.linalg.spectral import two_valued
from deqir.protocols import Gain
from deqir.shapes import Bool, Float

WIDE, VAST = 8, 32
"""Sides in pixels of blocks that show a gap to be wide, or more than that, where none of them is known."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inpainting:
    """y keeps the pixels where `keep` is true and is zero elsewhere.

    Attributes:
        keep: Which pixels are known: shape (H, W), the same in every channel, or (C, H, W), each channel for
            itself (a missing channel, a colour filter mosaic). deqir.operators.masks makes some.

        wide: A gap holds a block of `WIDE` x `WIDE` pixels, and none holds one of `VAST` x `VAST`; where the image is
            smaller, one as high or wide as it is.

    Raises:
        ValueError: `keep` is not a plane of booleans or one a channel, or nothing is kept.
    """

    keep: Bool[Tensor, "*C H W"]
    start_noise: float = 49 / 255
    wide: bool = field(init=False)
    _known: Constant = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.keep.dtype != torch.bool or self.keep.ndim not in (2, 3):
            raise ValueError(
                "Inpainting needs a mask of booleans of shape (H, W) or (C, H, W), "
                f"got {self.keep.dtype} {tuple(self.keep.shape)}"
            )
        if not bool(self.keep.any()):
            raise ValueError("the mask keeps no pixel at all: nothing to restore from; is it inverted?")
        object.__setattr__(self, "_known", Constant(self.keep))
        object.__setattr__(self, "wide", _has_gap(self.keep, WIDE) and not _has_gap(self.keep, VAST))

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        channels, height, width = y_shape[-3:]
        rows, columns = self.keep.shape[-2:]
        if (height, width) != (rows, columns):
            raise ValueError(
                f"the mask has {columns} x {rows} pixels, but the image {width} x {height}; "
                "an inpainting mask must have its image's size"
            )
        if self.keep.ndim == 3 and channels != len(self.keep):
            raise ValueError(
                f"the mask has {len(self.keep)} channels but the image {channels}; "
                "an inpainting mask has one plane for all channels, or one for each channel of the image"
            )
        return channels, height, width

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        self.image_shape(x.shape)
        return x * self._known.like(x)

    adjoint = pinv = __call__  # an orthogonal projection is its own transpose and inverse

    def start(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        """Return y with the gaps filled by diffusion from their borders.

        Where each channel has its own gaps, what is filled is the difference to the other channels, so that a gap
        in one shows the detail of the others, and a missing channel is their mean.
        """
        known, keep = self(y), self._known.like(y).bool()
        if keep.ndim == 2 or len(keep) == 1:
            return diffused_fill(known, keep)
        others = _mean_of_others(diffused_fill(known, keep), keep)
        return torch.where(keep, known, others + diffused_fill((known - others) * keep, keep))

    guess = start

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        return two_valued(self, v, gain, 1.0)


def diffused_fill(
    y: Float[Tensor, "B C H W"], keep: Bool[Tensor, "*K H W"], *, sweeps: int = 32
) -> Float[Tensor, "B C H W"]:
    """Return y where `keep`, elsewhere a smooth fill that solves Laplace's equation approximately.

    Coarse to fine: gaps take the mean of the known pixels of ever larger blocks, then at each size `sweeps`
    relaxations let every gap pixel take the mean of its four neighbours. A channel without a known pixel is 0.

    Args:
        y: Images; what they hold in the gaps does not matter.
        keep: Which pixels are known, in every channel, in each, or in each of each image.
        sweeps: Relaxations at each size.
    """
    keep = in_batch(keep)
    if min(y.shape[-2:]) > 1 and not bool(keep.all()):
        return grown(diffused_fill(*halved(y, keep), sweeps=sweeps), y, keep, sweeps=sweeps)
    known = keep.to(y)
    total = known.sum((-2, -1), keepdim=True).clamp(min=1)
    mean = (y * known).sum((-2, -1), keepdim=True) / total
    return relaxed(torch.where(keep, y, mean), keep, sweeps=sweeps)


def in_batch(keep: Bool[Tensor, "*K H W"]) -> Bool[Tensor, "#B #C H W"]:
    """Return a mask with dimensions for channels and for images, of size 1 where it had none."""
    return keep.expand(*((1,) * (4 - keep.ndim)), *keep.shape)


def halved(
    y: Float[Tensor, "B C H W"], keep: Bool[Tensor, "#B #C H W"]
) -> tuple[Float[Tensor, "B C h w"], Bool[Tensor, "#B #C h w"]]:
    """Return the means of the known pixels of each 2 x 2 block, 0 where there are none, and where there are some."""
    known = keep.to(y)
    weight = functional.avg_pool2d(known, 2, ceil_mode=True, count_include_pad=False)
    mean = functional.avg_pool2d(y * known, 2, ceil_mode=True, count_include_pad=False)
    some = weight > 0
    return torch.where(some, mean / weight.clamp(min=1e-6), 0.0), some


def grown(
    coarse: Float[Tensor, "B C h w"], y: Float[Tensor, "B C H W"], keep: Bool[Tensor, "#B #C H W"], *, sweeps: int
) -> Float[Tensor, "B C H W"]:
    """Return y where `keep`, elsewhere a filled image of the means of 2 x 2 blocks brought to its size, and relaxed."""
    height, width = y.shape[-2:]
    fine = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    return relaxed(torch.where(keep, y, fine), keep, sweeps=sweeps)


def relaxed(x: Float[Tensor, "B C H W"], keep: Bool[Tensor, "#B #C H W"], *, sweeps: int) -> Float[Tensor, "B C H W"]:
    """Return x with every pixel that is not kept drawn to the mean of its four neighbours, `sweeps` times."""
    known = x
    for _ in range(sweeps):
        around = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        mean = around[..., :-2, 1:-1] + around[..., 2:, 1:-1] + around[..., 1:-1, :-2] + around[..., 1:-1, 2:]
        x = torch.where(keep, known, mean / 4)
    return x


def _has_gap(keep: Bool[Tensor, "*C H W"], side: int) -> bool:
    """Return whether some channel has a block of so many pixels a side of which none is known."""
    known = in_batch(keep).float()
    down, across = (min(side, length) for length in keep.shape[-2:])
    near = functional.max_pool2d(functional.max_pool2d(known, (down, 1), stride=1), (1, across), stride=1)
    return not bool(near.all())


def _mean_of_others(x: Float[Tensor, "B C H W"], keep: Bool[Tensor, "C H W"]) -> Float[Tensor, "B C H W"]:
    """Return the mean of the other channels of which something is known; 0 where there is none."""
    present = keep.flatten(1).any(1).to(x)[:, None, None]
    count = (present.sum() - present).clamp(min=1)
    return ((x * present).sum(1, keepdim=True) - x * present) / count
