"""Images of any size in bounded memory: overlapping tiles, their answers blended at every call of the network.

Only the network sees tiles. The degradation and the arithmetic of a step act on the whole image. The answer of each
network call is a sum of the tiles' answers with smooth weights, without seams.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor

from deqir.priors.prior import Prior
from deqir.protocols import Denoiser
from deqir.shapes import Float

from .requests import Shape

SMALLEST: Final = 64
"""Least pixels a side of tiles that are cut for want of memory: smaller ones show the network too little."""
LARGEST_OVERLAP: Final = 64
"""Default overlap of large tiles in pixels; of smaller ones it is a quarter of their side."""
RAMP: Final = 0.25
"""Share of the overlap over which a tile hands over to the next; the rest keeps borders out of the sum."""


class Strip(NamedTuple):
    """The place of a tile along one axis, and the weights of its answer there."""

    span: slice
    weight: Float[Tensor, " tile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """The cut of images into tiles.

    Attributes:
        tile: Side of a tile in pixels; a shorter axis is not cut.
        overlap: Least pixels shared by neighbours.
        scarce: The tiles are small for want of memory, which holds one tile at a time.
    """

    tile: int
    overlap: int
    scarce: bool = False

    @classmethod
    def fitted(cls, tile: int, overlap: int | None, *, multiple: int = 1) -> Tiling:
        """Return tiles of at least this side and overlap whose borders lie at multiples of `multiple`.

        Args:
            tile: Side in pixels.
            overlap: In pixels; more than half the side counts as half. None: a quarter of the side, at most 64.
            multiple: Factor of all sides that the network takes, see `Prior`.
        """
        tile = max(2, math.ceil(tile / multiple)) * multiple
        overlap = min(tile // 4, LARGEST_OVERLAP) if overlap is None else overlap
        stride = (tile - min(overlap, tile // 2)) // multiple * multiple
        return cls(tile=tile, overlap=tile - stride)

    def offsets(self, side: int) -> list[int]:
        """Return the first pixel of each tile along an axis; the last tile ends with the image."""
        end = max(0, side - self.tile)
        return [*range(0, end, self.tile - self.overlap), end]

    def strips(self, side: int, like: Tensor) -> tuple[Strip, ...]:
        """Return the tiles along an axis; their weights, in the precision of `like`, add up to 1 at every pixel.

        A tile takes over from its neighbour in the middle of their overlap, on a smooth ramp. Within three eighths of
        the overlap from its borders, where the network did not see the next pixels, its weight is 0: a network that
        looks no farther answers as for the whole image.
        """
        return _strips(self, side, like.dtype, like.device)

    def shape(self, image: Shape) -> Shape:
        """Return the shape of the tiles of an image."""
        channels, height, width = image
        return channels, min(self.tile, height), min(self.tile, width)

    def count(self, image: Shape) -> int:
        """Return the number of tiles of an image."""
        return len(self.offsets(image[1])) * len(self.offsets(image[2]))


@lru_cache(maxsize=32)
def _strips(tiling: Tiling, side: int, dtype: torch.dtype, device: torch.device) -> tuple[Strip, ...]:
    starts, size = tiling.offsets(side), min(tiling.tile, side)
    seams = [-math.inf, *((before + size + after) / 2 for before, after in pairwise(starts)), math.inf]
    centre = torch.arange(size, dtype=torch.float64) + 0.5
    width = max(RAMP * tiling.overlap, 1e-9)

    def risen(start: int, seam: float) -> Tensor:
        u = ((centre + start - seam) / width + 0.5).clamp(0, 1)
        return u * u * (3 - 2 * u)

    with torch.inference_mode(False):  # kept weights may serve a caller who wants gradients next
        return tuple(
            Strip(slice(start, start + size), (risen(start, rise) - risen(start, fall)).to(device, dtype))
            for start, (rise, fall) in zip(starts, pairwise(seams), strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TiledDenoiser:
    """A `Denoiser` that sees large images in tiles, and small images whole.

    Attributes:
        batch: Most tiles in one call of the network; tiles of all images of a call go together.
    """

    denoiser: Denoiser
    tiling: Tiling
    batch: int = 1

    def __call__(self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /) -> Float[Tensor, "N C H W"]:
        down, across = (self.tiling.strips(side, x_t) for side in x_t.shape[-2:])
        if len(down) * len(across) == 1:
            return self.denoiser(x_t, alpha_bar)
        eps = torch.zeros_like(x_t)
        places = [(row, strip, n) for row in down for strip in across for n in range(len(x_t))]
        for first in range(0, len(places), self.batch):
            some = places[first : first + self.batch]
            tiles = torch.stack([x_t[n, :, row.span, column.span] for row, column, n in some])
            answers = self.denoiser(tiles, torch.stack([alpha_bar[n] for _, _, n in some]))
            for answer, (row, column, n) in zip(answers, some, strict=True):
                eps[n, :, row.span, column.span] += row.weight[:, None] * column.weight * answer
        return eps


def tiled(denoiser: Prior | Denoiser, tiling: Tiling, *, batch: int = 1) -> Prior | Denoiser:
    """Return the same network for images in tiles; a `Prior` stays a `Prior` with the same limits."""
    if isinstance(denoiser, Prior):
        return replace(denoiser, denoiser=TiledDenoiser(denoiser=denoiser.denoiser, tiling=tiling, batch=batch))
    return TiledDenoiser(denoiser=denoiser, tiling=tiling, batch=batch)


class Tilings:
    """The tilings of images by shape: as set, as the network needs, or as small as memory demands.

    Args:
        denoiser: A `Prior` with a native size sees tiles of this size; other networks see whole images.
        tile, overlap: See `Settings`.
    """

    def __init__(self, denoiser: Prior | Denoiser, *, tile: int | None, overlap: int | None) -> None:
        prior = denoiser if isinstance(denoiser, Prior) else None
        native = prior.native if prior else None
        self._tile, self._overlap = tile or native, overlap
        self._multiple = prior.multiple if prior else 1
        self._smallest = native or SMALLEST
        self._too_many = self._certain = math.inf
        self._known: dict[Shape, list[Tiling]] = {}

    def of(self, image: Shape) -> Tiling | None:
        """Return the tiling of images of a shape; None if the network sees them whole."""
        chosen, *smaller = self._choices(image)
        if _pixels(chosen, image) >= self._too_many and smaller:
            fitting = (tiling for tiling in smaller if 2 * _pixels(tiling, image) <= self._too_many)
            chosen = next(fitting, smaller[-1])
        return chosen if chosen.count(image) > 1 else None

    def seen(self, image: Shape) -> Shape:
        """Return the shape of the tiles, or of the whole images, that the network sees."""
        tiling = self.of(image)
        return image if tiling is None else tiling.shape(image)

    def halve(self, image: Shape) -> bool:
        """Cut smaller, as one tile of this image, or all of it, was too much; return False if no tile is smaller.

        In this case the network was not to blame, and the limit learnt since the last `settle` is forgotten.
        """
        before = math.prod(self.seen(image)[1:])
        self._too_many = before
        if math.prod(self.seen(image)[1:]) < before:
            return True
        self._too_many = self._certain
        return False

    def settle(self) -> None:
        """Note that the memory held."""
        self._certain = self._too_many

    def _choices(self, image: Shape) -> list[Tiling]:
        """Return the possible tilings of an image, the wanted one first, then by falling size."""
        if image in self._known:
            return self._known[image]
        longest = max(image[1:])
        sides = [self._tile or longest]
        below = self._tile // 2 if self._tile else 1 << max(0, (longest - 1).bit_length() - 1)
        while below >= self._smallest:
            sides.append(below)
            below //= 2
        self._known[image] = [
            replace(Tiling.fitted(side, self._overlap, multiple=self._multiple), scarce=place > 0)
            for place, side in enumerate(sides)
        ]
        return self._known[image]


def _pixels(tiling: Tiling, image: Shape) -> int:
    return math.prod(tiling.shape(image)[1:])
