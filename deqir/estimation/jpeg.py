"""Traces of JPEG in pixels: the place of its blocks, and the quality from the quantisation of the coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from deqir.linalg.dct import BLOCK, block_cosines
from deqir.operators.colorization import REC_601
from deqir.shapes import Float

from .results import LEVELS, clipped, in_levels

TABLE: Final = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Luminance table of the JPEG standard (ITU-T T.81, annex K), which encoders scale with the quality."""
TYPICAL_ERROR: Final = ((20, 12.0), (30, 10.6), (45, 9.6), (60, 8.9), (75, 7.9), (90, 5.6), (95, 4.5))
"""Quality, and standard deviation of the error in levels, measured on 24 photographs shrunk by four."""
MOST_BLOCKS: Final = 1024
FEWEST_BLOCKS, FEWEST_VALUES = 24, 60
COARSE: Final = 3
CLEAR: Final = 0.35
"""Least agreement of the coefficients with a table: 1 if all are multiples of their steps, 0 for any others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegEstimate:
    """The JPEG compression found in an image.

    Attributes:
        quality: Quality in libjpeg's scale, 1 to 97, of the standard table nearest to the one used.
        agreement: Agreement of the coefficients with multiples of the table's steps, 0.35 to 1.
        offset: Row and column of the first whole block: (0, 0) unless the image was cropped afterwards.
    """

    quality: int
    agreement: float
    offset: tuple[int, int]


def estimate_jpeg(image: Float[Tensor, "C H W"]) -> JpegEstimate | None:
    """Return the present or former JPEG compression of an image in [-1, 1]; None if it shows no trace.

    Cosine coefficients of quantised luma blocks are multiples of their steps, up to rounding. The quality is that of
    the table in best agreement, and of the coarsest among equals. Qualities above 97 round less than pixels do; scaling
    or noise afterwards wipes out the trace.

    Raises:
        ValueError: The input is not an image, or holds nan or inf.
    """
    levels = in_levels(image)
    plane = torch.einsum("c,chw->hw", _weights(len(levels)), levels)
    if min(plane.shape) < 2 * BLOCK:
        return None
    offset = _phase(plane.T), _phase(plane)  # where steps between neighbours stand out with period 8
    for place in dict.fromkeys(((0, 0), offset)):
        found = _quality(plane[place[0] :, place[1] :], clipped(levels).any(0)[place[0] :, place[1] :])
        if found is not None:
            return JpegEstimate(quality=found[0], agreement=found[1], offset=place)
    return None


def typical_error(quality: int) -> float:
    """Return the standard deviation of the error of JPEG at a quality, images in [-1, 1].

    Measured: the median over photographs, with colour at half resolution, as is usual. The error is no noise: it
    follows the image and lies where the image is busy.
    """
    qualities, errors = zip(*TYPICAL_ERROR, strict=True)
    return float(np.interp(quality, qualities, errors)) / LEVELS


def quantisation(quality: int) -> Float[Tensor, "8 8"]:
    """Return the luminance steps of a quality: the standard table as libjpeg scales it."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((torch.tensor(TABLE) * scale + 50) // 100).clamp(1, 255).float()


def _weights(channels: int) -> Float[Tensor, " C"]:
    return torch.tensor(REC_601) if channels == 3 else torch.full((channels,), 1 / channels)


def _tiles(plane: Tensor) -> Tensor:
    """Return the whole 8 x 8 blocks of a plane, side by side."""
    return plane.unfold(0, BLOCK, BLOCK).unfold(1, BLOCK, BLOCK).reshape(-1, BLOCK, BLOCK)


def _phase(plane: Float[Tensor, "H W"]) -> int:
    """Return the column, of 0 to 7, before which the second difference of the columns' steps is largest."""
    step = (plane[:, 1:] - plane[:, :-1]).abs().clamp(max=16).mean(0)
    excess = step[1:-1] - (step[:-2] + step[2:]) / 2
    means = [float(excess[start::BLOCK].mean()) for start in range(BLOCK)]
    return (means.index(max(means)) + 2) % BLOCK


def _quality(plane: Float[Tensor, "H W"], unusable: Tensor) -> tuple[int, float] | None:
    blocks = _tiles(plane)[~_tiles(unusable).any(2).any(1)]
    if len(blocks) < FEWEST_BLOCKS:
        return None
    blocks = blocks[:: -(-len(blocks) // MOST_BLOCKS)]
    values = block_cosines(blocks - 128).flatten(1)
    agreement = torch.stack([_agreement(values, table) for table in _tables()])
    best = float(agreement.max())
    if best < CLEAR:
        return None
    # a table of twice the steps fits half the multiples, a table of half the steps fits them all: take the coarsest
    good = (agreement > best - 0.05).nonzero().flatten()
    return int(good[agreement[good].argmax()]) + 1, best


def _agreement(values: Float[Tensor, "n 64"], steps: Float[Tensor, " 64"]) -> Tensor:
    """Return the mean of cos(2 pi value / step) over nonzero coefficients with a coarse step."""
    coarse = (steps >= COARSE) & (torch.arange(BLOCK**2) > 0)
    values, steps = values[:, coarse], steps[coarse]
    alive = values.abs() > steps / 2
    if int(alive.sum()) < FEWEST_VALUES:
        return torch.tensor(0.0)
    return torch.cos(2 * torch.pi * values / steps)[alive].mean()


@lru_cache(maxsize=1)
def _tables() -> tuple[Tensor, ...]:
    return tuple(quantisation(quality).flatten() for quality in range(1, 98))
