"""Numbers that describe noise, blur and compression: spectra of an image's smoothest and sharpest blocks."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from deqir.estimation.results import clipped
from deqir.estimation.spectrum import pooled
from deqir.linalg.dct import BLOCK, block_cosines
from deqir.shapes import Bool, Float

SMALLEST_SIDE: Final = 48
"""Pixels a side below which an image has too few blocks."""
FEWEST_BLOCKS: Final = 12
MOST_BLOCKS: Final = 4096
BANDS: Final = 9
"""Rings of frequencies of an 8 x 8 block: distances of 1 to 9 from its mean."""
SMOOTH: Final = (0.05, 0.2, 0.5)
"""Shares of the blocks, the smoothest first, whose spectra are described."""
SHARP: Final = 0.1
CLIPPED: Final = 0.1
LEAST: Final = 0.05
"""Least amplitude told apart from none, in levels; rounding to whole levels has 0.29."""
YCC: Final = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""Luma and the two chroma planes of JPEG (JFIF 1.02), by red, green and blue."""


def spectral_numbers(levels: Float[Tensor, "C H W"], table: Float[Tensor, "8 8"] | None) -> Float[Tensor, " n"] | None:
    """Return the numbers from which noise and blur are told; None if the image shows too little.

    Args:
        levels: The image in 8-bit levels, with JPEG's blocks on its corner if it has any.
        table: JPEG's steps of luma; None: never a JPEG.
    """
    if min(levels.shape[-2:]) < SMALLEST_SIDE:
        return None
    usable = ~clipped(levels).any(0)
    planes = ycc(levels)
    luma = planes[0]
    steps = torch.ones(BLOCK, BLOCK) if table is None else table
    full = _blocks(luma, usable, stride=BLOCK if table is not None else BLOCK // 2)
    half, quarter = (_blocks(pooled(luma, f), pooled(usable.float(), f) > 1 - CLIPPED, stride=4) for f in (2, 4))
    if full is None or half is None:
        return None
    found = [_mean_log(steps.expand(1, -1, -1), steps), *_described(full, steps)]
    found += _described(half, torch.ones(BLOCK, BLOCK))
    fine = quarter if quarter is not None else half  # too small an image: the half once more
    found += _described(fine, torch.ones(BLOCK, BLOCK), robust=False)[-1:]
    for plane in planes[1:]:
        chroma = _blocks(pooled(plane, 2), pooled(usable.float(), 2) > 1 - CLIPPED, stride=4)
        found += _described(half if chroma is None else chroma, torch.ones(BLOCK, BLOCK), robust=False)[:2]
    if len(planes) == 1:
        found += [torch.full((BANDS,), math.log(LEAST))] * 4
    extra = torch.tensor([float(luma.mean()) / 64, math.log(len(full)), float(table is None), float(len(planes) == 1)])
    return torch.cat([*found, extra])


def ycc(levels: Float[Tensor, "C H W"]) -> Float[Tensor, "c H W"]:
    """Return luma and chroma of an image in colour, or luma alone: of a grey image, or of other channels' mean."""
    if len(levels) != 3:
        return levels.mean(0, keepdim=True)
    if bool((levels[0] == levels[1]).all()) and bool((levels[1] == levels[2]).all()):
        return levels[:1]
    return torch.einsum("ij,jhw->ihw", torch.tensor(YCC), levels)


def _blocks(plane: Float[Tensor, "H W"], usable: Bool[Tensor, "H W"], *, stride: int) -> Float[Tensor, "N 8 8"] | None:
    """Return the cosine coefficients of the usable blocks of a plane; None if there are too few."""
    if min(plane.shape) < BLOCK:
        return None
    cut, seen = (
        each.unfold(0, BLOCK, stride).unfold(1, BLOCK, stride).reshape(-1, BLOCK, BLOCK)
        for each in (plane, usable.float())
    )
    cut = cut[seen.mean((1, 2)) > 1 - CLIPPED]
    if len(cut) < FEWEST_BLOCKS:
        return None
    return block_cosines(cut[:: -(-len(cut) // MOST_BLOCKS)] - 128)


def _described(
    blocks: Float[Tensor, "N 8 8"], steps: Float[Tensor, "8 8"], *, robust: bool = True
) -> list[Float[Tensor, " k"]]:
    """Return the logarithms of the amplitudes of the smoothest and of the sharpest blocks, ring by ring.

    Blocks are chosen by one half of the frequencies and read at the other half, both ways around: noise, which
    differs from frequency to frequency, is not biased by the choice.
    """
    parity = _rings()[1]
    rms, typical = ([torch.zeros(BANDS) for _ in range(len(SMOOTH) + 1)] for _ in range(2))
    low = _rings()[0] <= 5
    for chosen_by in (0, 1):
        energy = (blocks.square() * ((parity == chosen_by) & low)).sum((1, 2))
        order = energy.argsort()
        read = parity != chosen_by
        for place, group in enumerate(_groups(order)):
            some = blocks[group]
            rms[place] += _ring_mean((some.square().mean(0) + LEAST**2).log() / 2, read) / 2
            if robust:
                typical[place] += _ring_mean(_typical(some, steps).log(), read) / 2
    return [*typical, *rms] if robust else rms


def _groups(order: Tensor) -> list[Tensor]:
    count = len(order)
    smooth = [order[: max(FEWEST_BLOCKS // 2, int(share * count))] for share in SMOOTH]
    return [*smooth, order[-max(FEWEST_BLOCKS // 2, int(SHARP * count)) :]]


def _typical(blocks: Float[Tensor, "n 8 8"], steps: Float[Tensor, "8 8"]) -> Float[Tensor, "8 8"]:
    """Return the standard deviation of a Gaussian with as many coefficients up to the median as there are.

    A coefficient rounded to m steps lay below m + 1/2 steps. At a frequency where all are rounded to zero, this is
    about a sixth of the step: an upper limit.
    """
    counts = (blocks.abs() / steps).round()
    middle = counts.median(0).values
    share = (counts <= middle).float().mean(0).clamp(max=1 - 0.5 / len(counts))
    return (middle + 0.5) * steps / (math.sqrt(2) * torch.erfinv(share)).clamp(min=0.1)


def _mean_log(values: Float[Tensor, "1 8 8"], steps: Float[Tensor, "8 8"]) -> Float[Tensor, " k"]:
    return _ring_mean(values[0].log(), torch.ones_like(steps, dtype=torch.bool))


def _ring_mean(values: Float[Tensor, "8 8"], read: Bool[Tensor, "8 8"]) -> Float[Tensor, " k"]:
    ring = _rings()[0]
    weights = torch.stack([((ring == band) & read).float() for band in range(1, BANDS + 1)])
    means: Tensor = (weights * values).sum((1, 2)) / weights.sum((1, 2)).clamp(min=1)
    return means


@lru_cache(maxsize=1)
def _rings() -> tuple[Tensor, Tensor]:
    """Return the ring of each frequency, 0 to 9, and its half: 0 or 1."""
    n = torch.arange(BLOCK)
    ring = torch.hypot(n[:, None].float(), n[None].float()).round().long().clamp(max=BANDS)
    return ring, (n[:, None] + n[None]) % 2
