"""The layout of a JPEG: components at their own resolutions, cut into blocks of 8 x 8, and the linear map to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from deqir.linalg.dct import BLOCK, cosines
from deqir.operators.colorization import REC_601
from deqir.shapes import Float

Factors = tuple[tuple[int, int], ...]
"""Sampling factors (down, across) of each component: blocks of it in a unit. ((2, 2), (1, 1), (1, 1)) is 4:2:0."""

CB = tuple((w - float(n == 2)) / (2 * (REC_601[2] - 1)) for n, w in enumerate(REC_601))
CR = tuple((w - float(n == 0)) / (2 * (REC_601[0] - 1)) for n, w in enumerate(REC_601))
MOST_BLOCKS = 10
"""Most blocks in a unit by the standard (ITU-T T.81, B.2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The units of a JPEG: the smallest parts of an image that hold whole blocks of every component.

    The components are Y, Cb and Cr, the last two averaged over the pixels that share a sample; or Y alone.

    Attributes:
        factors: Sampling factors of the components.

    Raises:
        ValueError: There are not 1 or 3 components, a component's factors do not divide the largest, or a unit has more
            than 10 blocks.
    """

    factors: Factors

    def __post_init__(self) -> None:
        down, across = self.most
        if len(self.factors) not in (1, 3) or any(down % v or across % h for v, h in self.factors):
            raise ValueError(f"sampling factors must be of 1 or 3 components and divide the largest: {self.factors}")
        if sum(v * h for v, h in self.factors) > MOST_BLOCKS:
            raise ValueError(f"a JPEG unit has at most {MOST_BLOCKS} blocks, got factors {self.factors}")

    @property
    def most(self) -> tuple[int, int]:
        """The largest factors."""
        return max(v for v, _ in self.factors), max(h for _, h in self.factors)

    @property
    def unit(self) -> tuple[int, int]:
        """Height and width of a unit in pixels."""
        if len(self.factors) == 1:
            return BLOCK, BLOCK
        down, across = self.most
        return BLOCK * down, BLOCK * across

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """Blocks (down, across) of each component in a unit."""
        return ((1, 1),) if len(self.factors) == 1 else self.factors

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """Return the sides of an image made up to whole units."""
        rows, columns = self.unit
        return -(-height // rows) * rows, -(-width // columns) * columns

    def planes(self, image: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B _h _w"], ...]:
        """Return the components of an image in [-1, 1] at their own resolutions; of grey (B, 1, H, W) itself."""
        if len(self.factors) == 1:
            return (image[:, 0],)
        (down, across), mixed = self.most, torch.einsum("ij,bjhw->bihw", ycc(image), image)
        return tuple(
            functional.avg_pool2d(mixed[:, n : n + 1], (down // v, across // h))[:, 0]
            for n, (v, h) in enumerate(self.factors)
        )

    def of_unit(self, each: Float[Tensor, "components 8 8"]) -> Float[Tensor, " m"]:
        """Return a number for each coefficient of a unit, from numbers for the frequencies of each component.

        Raises:
            ValueError: There are not as many as components.
        """
        if tuple(each.shape) != (len(self.blocks), BLOCK, BLOCK):
            raise ValueError(f"need numbers of shape {(len(self.blocks), BLOCK, BLOCK)}, got {tuple(each.shape)}")
        return torch.cat([own.flatten().repeat(v * h) for own, (v, h) in zip(each, self.blocks, strict=True)])

    def joined(self, amounts: tuple[Float[Tensor, "_h _w 8 8"], ...]) -> Float[Tensor, "units m"]:
        """Return the coefficients of each unit in the order of `matrix`."""
        parts = list[Tensor]()
        for amount, (v, h) in zip(amounts, self.blocks, strict=True):
            rows, columns = amount.shape[0] // v, amount.shape[1] // h
            units = amount.reshape(rows, v, columns, h, BLOCK, BLOCK).transpose(1, 2)
            parts.append(units.flatten(0, 1).flatten(1))
        return torch.cat(parts, 1)

    def matrix(self) -> Float[Tensor, "m n"]:
        """Return the map from the pixels of a unit, channels outermost, to its coefficients, in float64."""
        return _matrix(self)


def ycc(like: Tensor) -> Float[Tensor, "3 3"]:
    """Return the map from red, green and blue to Y, Cb and Cr (JFIF, without its offset)."""
    return _ycc(like.dtype, like.device)


def blocks_of(plane: Float[Tensor, "*batch H W"]) -> Float[Tensor, "*batch h w 8 8"]:
    """Return the blocks of a plane whose sides are multiples of 8."""
    return plane.unfold(-2, BLOCK, BLOCK).unfold(-2, BLOCK, BLOCK)


def transformed(plane: Float[Tensor, "*batch H W"]) -> Float[Tensor, "*batch h w 8 8"]:
    """Return the cosine coefficients of a plane's blocks."""
    basis = cosines().to(plane)
    return basis @ blocks_of(plane) @ basis.mT


def plane_of(blocks: Float[Tensor, "*batch h w 8 8"]) -> Float[Tensor, "*batch H W"]:
    """Return the plane of these blocks."""
    return blocks.transpose(-3, -2).flatten(-4, -3).flatten(-2, -1)


@lru_cache(maxsize=8)
def _matrix(layout: Layout) -> Tensor:
    channels, (height, width) = len(layout.factors), layout.unit
    with torch.inference_mode(False):
        pixels = torch.eye(channels * height * width, dtype=torch.float64).view(-1, channels, height, width)
        return torch.cat([transformed(plane).flatten(1) for plane in layout.planes(pixels)], 1).mT


@lru_cache(maxsize=8)
def _ycc(dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor([REC_601, CB, CR], dtype=dtype, device=device)
