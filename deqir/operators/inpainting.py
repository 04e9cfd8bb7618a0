"""Inpainting: some pixels are known, the others missing."""

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
"""Sides in pixels of the unknown blocks inside a wide gap and inside a vast gap."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inpainting:
    """y keeps the pixels where `keep` is true and is zero elsewhere.

    Attributes:
        keep: True where a pixel is known: shape (H, W) for all channels, or (C, H, W) with a mask for each channel
            (a missing channel, a colour filter mosaic). deqir.operators.masks makes masks.
        wide: Some gap holds a block of `WIDE` x `WIDE` pixels and no gap a block of `VAST` x `VAST`; blocks are cut
            to the size of a smaller image.

    Raises:
        ValueError: `keep` is not boolean, has another number of dimensions, or keeps nothing.
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

        If each channel has its own gaps, the difference to the other channels is filled: a gap in a channel shows
        the detail of the others, and a missing channel is their mean.
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
    """Return y with its gaps filled smoothly, an approximate solution of Laplace's equation.

    Coarse to fine: gaps take the mean of the known pixels of ever larger blocks, then at each size `sweeps`
    relaxations let every gap pixel take the mean of its four neighbours. A channel without a known pixel is 0.

    Args:
        y: Images; their values in the gaps do not matter.
        keep: True where a pixel is known: a mask for all channels, for each channel, or for each channel and image.
    """
    keep = in_batch(keep)
    if min(y.shape[-2:]) > 1 and not bool(keep.all()):
        return grown(diffused_fill(*halved(y, keep), sweeps=sweeps), y, keep, sweeps=sweeps)
    known = keep.to(y)
    total = known.sum((-2, -1), keepdim=True).clamp(min=1)
    mean = (y * known).sum((-2, -1), keepdim=True) / total
    return relaxed(torch.where(keep, y, mean), keep, sweeps=sweeps)


def in_batch(keep: Bool[Tensor, "*K H W"]) -> Bool[Tensor, "#B #C H W"]:
    """Return a mask with dimensions for images and channels; missing dimensions are added with size 1."""
    return keep.expand(*((1,) * (4 - keep.ndim)), *keep.shape)


def halved(
    y: Float[Tensor, "B C H W"], keep: Bool[Tensor, "#B #C H W"]
) -> tuple[Float[Tensor, "B C h w"], Bool[Tensor, "#B #C h w"]]:
    """Return the mean of the known pixels of each 2 x 2 block (else 0), and a mask of the blocks with known pixels."""
    known = keep.to(y)
    weight = functional.avg_pool2d(known, 2, ceil_mode=True, count_include_pad=False)
    mean = functional.avg_pool2d(y * known, 2, ceil_mode=True, count_include_pad=False)
    some = weight > 0
    return torch.where(some, mean / weight.clamp(min=1e-6), 0.0), some


def grown(
    coarse: Float[Tensor, "B C h w"], y: Float[Tensor, "B C H W"], keep: Bool[Tensor, "#B #C H W"], *, sweeps: int
) -> Float[Tensor, "B C H W"]:
    """Return y with its gaps filled from `coarse`, a filled image of half the size, enlarged and relaxed."""
    height, width = y.shape[-2:]
    fine = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    return relaxed(torch.where(keep, y, fine), keep, sweeps=sweeps)


def relaxed(x: Float[Tensor, "B C H W"], keep: Bool[Tensor, "#B #C H W"], *, sweeps: int) -> Float[Tensor, "B C H W"]:
    """Return x after `sweeps` rounds of setting every pixel outside of `keep` to the mean of its four neighbours."""
    known = x
    for _ in range(sweeps):
        around = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        mean = around[..., :-2, 1:-1] + around[..., 2:, 1:-1] + around[..., 1:-1, :-2] + around[..., 1:-1, 2:]
        x = torch.where(keep, known, mean / 4)
    return x


def _has_gap(keep: Bool[Tensor, "*C H W"], side: int) -> bool:
    """Return True if some channel has a block of `side` x `side` pixels without a known pixel."""
    known = in_batch(keep).float()
    down, across = (min(side, length) for length in keep.shape[-2:])
    near = functional.max_pool2d(functional.max_pool2d(known, (down, 1), stride=1), (1, across), stride=1)
    return not bool(near.all())


def _mean_of_others(x: Float[Tensor, "B C H W"], keep: Bool[Tensor, "C H W"]) -> Float[Tensor, "B C H W"]:
    """Return for each channel the mean of the other channels with known pixels; 0 without such channels."""
    present = keep.flatten(1).any(1).to(x)[:, None, None]
    count = (present.sum() - present).clamp(min=1)
    return ((x * present).sum(1, keepdim=True) - x * present) / count
