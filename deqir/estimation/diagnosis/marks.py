"""Numbers that tell photographs from text, line art and graphics: tones, edges, repeated pixels."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from deqir.linalg.dct import BLOCK
from deqir.shapes import Float

from .spectra import ycc

STEPS: Final = (0.5, 1.5, 3.5, 8.5, 24.0, 64.0, 128.0)
"""Bounds of the differences of neighbours, in levels."""
RANGES: Final = (0.5, 2.5, 6.5, 12.5, 24.0, 64.0)
"""Bounds of the range of levels in a block."""
MOST_PIXELS: Final = 2**20
EDGE: Final = 48.0
"""Range of levels from which a block has an edge in it."""


def kind_numbers(levels: Float[Tensor, "C H W"]) -> Float[Tensor, " n"]:
    """Return the numbers from which the kind of picture is told; any image of at least 16 pixels a side has them."""
    levels = _middle(levels)
    luma = ycc(levels)[0]
    pairs = ((luma[:, 1:], luma[:, :-1]), (luma[1:], luma[:-1]))
    steps = torch.cat([(one - other).abs().flatten() for one, other in pairs])
    found = [float((steps <= bound).float().mean()) for bound in STEPS]
    busy = steps[steps > STEPS[2]]
    found += [math.log1p(float(steps.mean())), math.log1p(float(busy.mean()) if len(busy) else 0.0)]
    return torch.tensor([*found, *_tones(luma), *_blocks(luma), *_colours(levels), *_repeats(luma)])


def _middle(levels: Float[Tensor, "C H W"]) -> Float[Tensor, "C H W"]:
    """Return the middle of a large image; its kind shows in a megapixel."""
    height, width = levels.shape[-2:]
    if height * width <= MOST_PIXELS:
        return levels
    share = math.sqrt(MOST_PIXELS / (height * width))
    rows, columns = max(BLOCK * 2, int(share * height)), max(BLOCK * 2, int(share * width))
    top, left = (height - rows) // 2, (width - columns) // 2
    return levels[:, top : top + rows, left : left + columns]


def _tones(luma: Float[Tensor, "H W"]) -> list[float]:
    """Return how few tones there are: the share of the commonest, entropy, the ends, how well two tones do."""
    counts = torch.histc(luma.clamp(0, 255), 64, 0, 256) / luma.numel()
    top = counts.sort(descending=True).values.cumsum(0)
    entropy = -float((counts * counts.clamp(min=1e-9).log()).sum())
    low, high = (float(luma.flatten()[:: max(1, luma.numel() // 65536)].quantile(q)) for q in (0.01, 0.99))
    return [
        *(float(top[n]) for n in (0, 1, 3, 7)),
        entropy,
        float((luma > 235).float().mean()),
        float((luma < 20).float().mean()),
        float(((luma > 64) & (luma < 192)).float().mean()),
        math.log1p(high - low),
        math.log1p(float(luma.std())),
        float(_two_tones(luma.flatten()[None])[0]),
    ]


def _two_tones(values: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """Return the share of each row's variance that two tones explain, split halfway between its ends."""
    least, most = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    upper = (values > (least + most) / 2).float()
    share = upper.mean(1)
    mean, variance = values.mean(1), values.var(1, correction=0)
    above = (values * upper).sum(1) / upper.sum(1).clamp(min=1)
    below = (values * (1 - upper)).sum(1) / (1 - upper).sum(1).clamp(min=1)
    between = share * (above - mean).square() + (1 - share) * (below - mean).square()
    return between / variance.clamp(min=1e-6)


def _blocks(luma: Float[Tensor, "H W"]) -> list[float]:
    """Return the ranges in blocks, and how well two tones make the blocks with an edge."""
    blocks = luma.unfold(0, BLOCK, BLOCK).unfold(1, BLOCK, BLOCK).reshape(-1, BLOCK**2)
    reach = blocks.amax(1) - blocks.amin(1)
    found = [float((reach <= bound).float().mean()) for bound in RANGES]
    ends = (blocks.amin(1) < 4) | (blocks.amax(1) > 251)
    found += [float(((reach <= 6.5) & ~ends).float().mean()), float(reach.quantile(0.1)), float(reach.quantile(0.5))]
    edged = blocks[reach > EDGE]
    if not len(edged):
        return [*found, 0.5, 0.5, 0.5]
    two = _two_tones(edged)
    least, most = edged.amin(1, keepdim=True), edged.amax(1, keepdim=True)
    near_end = (((edged - least) / (most - least)) - 0.5).abs() > 0.35
    return [*found, float(two.mean()), float(near_end.float().mean()), float((two > 0.9).float().mean())]


def _colours(levels: Float[Tensor, "C H W"]) -> list[float]:
    """Return how few colours there are, of 16 levels each, and how much colour."""
    three = levels if len(levels) == 3 else levels.mean(0, keepdim=True).expand(3, -1, -1)
    coarse = (three / 16).long().clamp(0, 15)
    counts = torch.bincount((coarse[0] * 256 + coarse[1] * 16 + coarse[2]).flatten(), minlength=4096).float()
    top = counts.sort(descending=True).values.cumsum(0) / counts.sum()
    colour = three.amax(0) - three.amin(0)
    return [
        *(float(top[n]) for n in (0, 1, 3, 7, 15)),
        math.log(float((counts > 0).sum()) / math.sqrt(float(counts.sum()))),
        math.log1p(float(colour.mean())),
        math.log1p(float(colour.std())),
    ]


def _repeats(luma: Float[Tensor, "H W"]) -> list[float]:
    """Return the length of runs of equal pixels, and how far every second column repeats the first."""
    found = []
    for plane in (luma, luma.T):
        same = (plane[:, 1:] - plane[:, :-1]).abs() < 2.5
        found.append(float(same.float().mean()))
        even, odd = (same[:, start::2].float().mean() for start in (0, 1))
        found.append(float((even - odd).abs()))
    both = (luma[:-1, :-1] - luma[1:, 1:]).abs() < 2.5
    return [*found, float(both.float().mean())]
