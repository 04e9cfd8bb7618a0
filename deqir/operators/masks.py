"""Masks of the known pixels of damaged images: true where a pixel is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from deqir.shapes import Bool

__all__ = ["box", "channels", "dead_lines", "random", "scratches", "stripes", "text"]


def random(height: int, width: int, *, lost: float = 0.7, seed: int = 0) -> Bool[Tensor, "H W"]:
    """Return a mask with the share `lost` of the pixels missing in random places.

    Raises:
        ValueError: `lost` is below 0, 1 or above, or leaves no pixel.
    """
    return _lose(height * width, lost, seed).view(height, width)


def box(height: int, width: int, *, side: float = 0.5, seed: int | None = None) -> Bool[Tensor, "H W"]:
    """Return a mask with one rectangular hole.

    Args:
        side: Sides of the hole, as a share of the image's sides.
        seed: Seed for the place of the hole; None puts it in the middle.

    Raises:
        ValueError: `side` is not between 0 and 1, or the hole covers the whole image.
    """
    _check_share(side, "side")
    rows, columns = round(side * height), round(side * width)
    if (rows, columns) == (height, width):
        raise ValueError(f"a hole of side={side} is all of an image of {height} x {width}; make it smaller")
    top, left = (height - rows) // 2, (width - columns) // 2
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        top = int(torch.randint(height - rows + 1, (), generator=generator))
        left = int(torch.randint(width - columns + 1, (), generator=generator))
    keep = torch.ones(height, width, dtype=torch.bool)
    keep[top : top + rows, left : left + columns] = False
    return keep


def stripes(
    height: int, width: int, *, period: int = 8, thickness: int = 2, vertical: bool = False
) -> Bool[Tensor, "H W"]:
    """Return a mask with the last `thickness` lines of every `period` lines missing.

    Raises:
        ValueError: `thickness` is below 0, or not below `period`.
    """
    if not 0 <= thickness < period:
        raise ValueError(f"stripes need 0 <= thickness < period, got thickness={thickness} and period={period}")
    kept = torch.arange(width if vertical else height) % period < period - thickness
    return (kept if vertical else kept[:, None]).expand(height, width).clone()


def dead_lines(
    height: int, width: int, *, lost: float = 0.1, vertical: bool = True, seed: int = 0
) -> Bool[Tensor, "H W"]:
    """Return a mask with the share `lost` of the columns (or rows) missing, as from a broken sensor.

    Raises:
        ValueError: `lost` is below 0, 1 or above, or leaves no line.
    """
    kept = _lose(width if vertical else height, lost, seed)
    return (kept if vertical else kept[:, None]).expand(height, width).clone()


def text(
    height: int,
    width: int,
    *,
    words: str = "the quick brown fox jumps over the lazy dog",
    size: int | None = None,
) -> Bool[Tensor, "H W"]:
    """Return a mask with lines of text missing over the whole image, in Pillow's own font.

    Args:
        words: Text of each line, repeated to fill the width of the image.
        size: Font size in pixels; None: a twelfth of the shorter side, at least 8.

    Raises:
        ValueError: `words` is blank, or `size` is below 1.
    """
    size = max(8, min(height, width) // 12) if size is None else size
    if not words.strip() or size < 1:
        raise ValueError(f"text needs words and a font of at least 1 pixel, got {words!r} and size={size}")
    plane = Image.new("L", (width, height))
    pen, font = ImageDraw.Draw(plane), ImageFont.load_default(size)
    line = f"{words} " * (1 + math.ceil((width + 3 * height) / font.getlength(f"{words} ")))
    for row, top in enumerate(range(2, height, math.ceil(1.5 * size))):
        pen.text((2 - 3 * row, top), line, fill=255, font=font)
    return torch.from_numpy(np.array(plane)) <= 127


def scratches(
    height: int, width: int, *, count: int = 6, thickness: int | None = None, seed: int = 0
) -> Bool[Tensor, "H W"]:
    """Return a mask with `count` wavering scratches as on film and prints, most of them along the height.

    Args:
        thickness: Thickness of a scratch in pixels; None: 1 for each 128 pixels of the shorter side, at least 1.
        seed: Seed for the places and shapes of the scratches.
    """
    thickness = max(1, min(height, width) // 128) if thickness is None else thickness
    plane = Image.new("1", (width, height), color=1)
    pen, generator = ImageDraw.Draw(plane), torch.Generator().manual_seed(seed)
    for _ in range(count):
        across, begin, length, slope, steep = torch.rand(5, generator=generator).tolist()
        along = torch.linspace(begin - 0.5, begin + 0.2 + length, 24)
        waver = torch.randn(24, generator=generator).cumsum(0) * 0.004
        path = torch.stack([across + 0.3 * (slope - 0.5) * along + waver, along], 1)
        path = path.flip(1) if steep < 0.2 else path
        points = [(round(x), round(y)) for x, y in (path * torch.tensor([width - 1, height - 1])).tolist()]
        for point, following in pairwise(points):
            pen.line([point, following], fill=0, width=thickness)
    return torch.from_numpy(np.array(plane))


def channels(height: int, width: int, *, known: Sequence[bool]) -> Bool[Tensor, "C H W"]:
    """Return a mask of whole channels, kept where `known` is true."""
    return torch.tensor(known, dtype=torch.bool)[:, None, None].expand(-1, height, width).clone()


def _lose(n: int, lost: float, seed: int) -> Bool[Tensor, " n"]:
    """Return n flags, the share `lost` of them false in random places."""
    _check_share(lost, "lost")
    missing = round(lost * n)
    if missing == n:
        raise ValueError(f"lost={lost} leaves nothing of {n} pixels or lines; choose a smaller share")
    keep = torch.ones(n, dtype=torch.bool)
    keep[torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:missing]] = False
    return keep


def _check_share(share: float, name: str) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{name} is a share, from 0 to 1, got {share}")
