"""A proposal of what may be scratches and dust: thin or small, and brighter or darker than what is around it."""

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
"""Least contrast in parts of the usual one around it."""
AROUND: Final = 33
LENGTH: Final = 17
"""Pixels that a scratch is long at least."""
DIRECTIONS: Final = 16
MOST: Final = 0.15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DamageProposal:
    """Pixels that may be damaged, for a person to check.

    Attributes:
        mask: True where something thin and long stands out, shape (H, W).
        share: Of the pixels that are marked.
    """

    mask: Bool[Tensor, "H W"]
    share: float


def propose_damage(image: Float[Tensor, "C H W"], *, width: int = 5) -> DamageProposal | None:
    """Return a mask of scratches and dust in an image in [-1, 1]; None where texture stands out as much everywhere.

    What an opening (or closing) by a square wider than `width` takes away is thin or small. Of that, what stands out
    from the usual contrast around it is kept if it is long in one direction, or lies alone. Wires, branches and text
    look the same: look at the mask before using it.

    Args:
        image: Shape (C, H, W).
        width: Widest scratch or speck that is looked for, in pixels.

    Raises:
        ValueError: It is not an image, holds nan or inf, or `width` is below 1.
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
    """Return the opening by a square of an odd side: without bright things that it does not fit into."""
    side += 1 - side % 2
    return _dilated(-_dilated(-plane, side), side)


def _dilated(plane: Tensor, side: int) -> Tensor:
    return functional.max_pool2d(plane[None, None], side, stride=1, padding=side // 2)[0, 0]


def _mean(plane: Tensor, side: int) -> Tensor:
    return functional.avg_pool2d(plane[None, None], side, 1, side // 2, count_include_pad=False)[0, 0]


def _long(strong: Bool[Tensor, "H W"]) -> Bool[Tensor, "H W"]:
    """Return the pixels on a straight line of LENGTH, nearly all of which are marked, in one of some directions."""
    lines = _lines()
    thick = _dilated(strong.float(), 3)[None, None]
    full = functional.conv2d(thick, lines, padding=LENGTH // 2) > 0.93 * LENGTH
    back = functional.conv2d(full.float(), lines.transpose(0, 1).flip(2, 3), padding=LENGTH // 2)[0, 0] > 0.5
    return strong & back


def _alone(strong: Bool[Tensor, "H W"], width: int) -> Bool[Tensor, "H W"]:
    """Return marked pixels whose surroundings, wider than a speck, hold no others."""
    speck, around = 2 * width + 1, 6 * width + 1
    inner, outer = (_mean(strong.float(), side) * side**2 for side in (speck, around))
    return strong & (outer - inner < 0.5)


def _lines() -> Float[Tensor, "directions 1 L L"]:
    """Return straight lines of LENGTH pixels, one a direction."""
    lines = torch.zeros(DIRECTIONS, 1, LENGTH, LENGTH)
    half = LENGTH // 2
    for index in range(DIRECTIONS):
        angle = math.pi * index / DIRECTIONS
        reach = max(abs(math.cos(angle)), abs(math.sin(angle)))
        for step in range(-half, half + 1):
            row, column = (round(step * part(angle) / reach) for part in (math.sin, math.cos))
            lines[index, 0, half + row, half + column] = 1
    return lines
