"""A proposal of scratches and dust: thin or small, and brighter or darker than their surroundings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from deqir.shapes import Bool, Float

from .results import in_levels

CONTRAST: Final = 24.0
"""Least contrast of damage to both sides, in levels."""
ABOVE_TEXTURE: Final = 4.0
"""Least contrast of damage, as a multiple of the usual contrast around it."""
AROUND: Final = 33
LENGTH: Final = 17
"""Least length of a scratch, in pixels."""
DIRECTIONS: Final = 16
MOST: Final = 0.15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DamageProposal:
    """Pixels that may be damaged, for a person to check.

    Attributes:
        mask: True where something thin and long stands out, shape (H, W).
        share: Share of marked pixels.
    """

    mask: Bool[Tensor, "H W"]
    share: float


def propose_damage(image: Float[Tensor, "C H W"], *, width: int = 5) -> DamageProposal | None:
    """Return a mask of scratches and dust in an image in [-1, 1]; None if texture stands out as much everywhere.

    An opening (or closing) by a square wider than `width` takes away thin and small things. Among them, pixels above
    the usual contrast around them are kept if they form a long straight line or lie alone. Wires, branches and text
    look the same: look at the mask before using it.

    Args:
        width: Width of the widest scratch or speck to look for, in pixels.

    Raises:
        ValueError: The input is not an image or holds nan or inf, or `width` is below 1.
    """
    if width < 1:
        raise ValueError(f"scratches are at least one pixel wide, got width={width}")
    plane = in_levels(image).mean(0)
    if min(plane.shape) < 2 * AROUND:
        return None
    marked = torch.zeros_like(plane, dtype=torch.bool)
    for signed in (plane, -plane):
        standing = signed - _opened(signed, width + 2)
        usual = _mean(standing, AROUND)
        strong = standing > torch.clamp(ABOVE_TEXTURE * usual, min=CONTRAST)
        marked |= _long(strong) | _alone(strong, width)
    share = float(marked.float().mean())
    if share > MOST:
        return None
    return DamageProposal(mask=_dilated(marked.float(), 3) > 0, share=share)


def _opened(plane: Tensor, side: int) -> Tensor:
    """Return the opening by a square of an odd side: bright things too narrow for the square are removed."""
    side += 1 - side % 2
    return _dilated(-_dilated(-plane, side), side)


def _dilated(plane: Tensor, side: int) -> Tensor:
    return functional.max_pool2d(plane[None, None], side, stride=1, padding=side // 2)[0, 0]


def _mean(plane: Tensor, side: int) -> Tensor:
    rows = functional.avg_pool2d(plane[None, None], (side, 1), 1, (side // 2, 0), count_include_pad=False)
    return functional.avg_pool2d(rows, (1, side), 1, (0, side // 2), count_include_pad=False)[0, 0]


def _long(strong: Bool[Tensor, "H W"]) -> Bool[Tensor, "H W"]:
    """Return the marked pixels on straight lines of LENGTH, nearly all of their pixels marked, in some direction."""
    thick, on_line = _dilated(strong.float(), 3), torch.zeros_like(strong)
    for line in _lines():
        full = _sum_along(thick, line) > 0.93 * LENGTH
        on_line |= _sum_along(full, line) > 0
    return strong & on_line


def _sum_along(plane: Tensor, line: list[tuple[int, int]]) -> Tensor:
    """Return for each pixel the sum of small whole numbers along the line through it, 0 beyond the borders."""
    (height, width), half = plane.shape, LENGTH // 2
    wide = functional.pad(plane.to(torch.uint8), (half, half, half, half))
    total = torch.zeros(height, width, dtype=torch.uint8)
    for row, column in line:
        total += wide[half + row : half + row + height, half + column : half + column + width]
    return total


def _alone(strong: Bool[Tensor, "H W"], width: int) -> Bool[Tensor, "H W"]:
    """Return the marked pixels without other marked pixels in their surroundings, which are wider than a speck."""
    speck, around = 2 * width + 1, 6 * width + 1
    inner, outer = (_mean(strong.float(), side) * side**2 for side in (speck, around))
    return strong & (outer - inner < 0.5)


def _lines() -> list[list[tuple[int, int]]]:
    """Return a straight line of LENGTH pixels for each direction, as steps down and right from its middle."""
    lines, half = list[list[tuple[int, int]]](), LENGTH // 2
    for index in range(DIRECTIONS):
        angle = math.pi * index / DIRECTIONS
        down, right = math.sin(angle), math.cos(angle)
        reach = max(abs(down), abs(right))
        lines.append([(round(n * down / reach), round(n * right / reach)) for n in range(-half, half + 1)])
    return lines
