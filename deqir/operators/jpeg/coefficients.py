"""The content of a JPEG: the whole numbers of its blocks, and the steps that they are multiples of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from deqir.linalg.dct import BLOCK, cosines
from deqir.shapes import Float, Int

from .layout import Factors, Layout, plane_of, transformed

LEVEL: Final = 127.5
"""Levels of 8 bits in a unit of images in [-1, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JpegCoefficients:
    """The quantised coefficients of a JPEG.

    Attributes:
        layout: Components and their sampling.
        steps: Quantisation steps of each component in levels, vertical frequency first, shape (components, 8, 8).
        values: Multiples of the steps for each component, shape (rows, columns, 8, 8), made up to whole units.
        height, width: Sides of the image in pixels.
        top, left: Rows and columns of the units before the image's first pixel; 0 unless the image was cropped after
            its compression.
    """

    layout: Layout
    steps: Float[Tensor, "components 8 8"]
    values: tuple[Int[Tensor, "h w 8 8"], ...]
    height: int
    width: int
    top: int = 0
    left: int = 0

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the whole units."""
        return self.layout.padded(self.top + self.height, self.left + self.width)

    def amounts(self) -> tuple[Float[Tensor, "h w 8 8"], ...]:
        """Return the coefficients of the components of an image in [-1, 1]."""
        parts = zip(self.values, self.steps.double(), zeros_of(len(self.steps)), strict=True)
        return tuple(k * q / LEVEL + zero for k, q, zero in parts)

    def planes(self) -> tuple[Float[Tensor, "h w"], ...]:
        """Return the components, images in [-1, 1], as they are before any rounding to 8 bits."""
        basis = cosines()
        return tuple(plane_of(basis.mT @ amount @ basis) for amount in self.amounts())

    def mirrored(self, *, down: bool, across: bool) -> JpegCoefficients:
        """Return the JPEG of the image mirrored top to bottom (`down`), left to right (`across`), or both."""
        signs = (-1.0) ** torch.arange(BLOCK)
        axes = [axis for axis, mirror in enumerate((down, across)) if mirror]
        flips = (signs[:, None] if down else torch.ones(1, 1)) * (signs[None] if across else torch.ones(1, 1))
        rows, columns = self.sides
        return replace(
            self,
            values=tuple(k.flip(axes) * flips.to(k) for k in self.values),
            top=rows - self.top - self.height if down else self.top,
            left=columns - self.left - self.width if across else self.left,
        )

    def transposed(self) -> JpegCoefficients:
        """Return the JPEG of the image with rows and columns exchanged."""
        factors: Factors = tuple((h, v) for v, h in self.layout.factors)
        return JpegCoefficients(
            layout=Layout(factors=factors),
            steps=self.steps.mT,
            values=tuple(k.permute(1, 0, 3, 2) for k in self.values),
            height=self.width,
            width=self.height,
            top=self.left,
            left=self.top,
        )


def zeros_of(components: int) -> Float[Tensor, "components 8 8"]:
    """Return the coefficients in [-1, 1] of JPEG's zeros: luma has its zero at 128 levels, half a level too high."""
    zeros = torch.zeros(components, BLOCK, BLOCK, dtype=torch.float64)
    zeros[0, 0, 0] = BLOCK * 0.5 / LEVEL
    return zeros


