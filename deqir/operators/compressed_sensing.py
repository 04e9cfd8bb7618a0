"""Compressed sensing: y holds a share of the coefficients of an orthonormal transform of the image or its blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import EllipsisType

import torch
from torch import Tensor

from deqir.linalg.sparse import sparse_start
from deqir.linalg.spectral import same_shape, two_valued
from deqir.protocols import Gain
from deqir.shapes import Bool, Float, Int


@dataclass(frozen=True, slots=True, kw_only=True)
class WalshHadamardSensing:
    """y holds a share of the Walsh-Hadamard coefficients of x's shuffled pixels, channel by channel, and 0 elsewhere.

    A = M W P: P shuffles the pixels, W is the orthonormal Walsh-Hadamard transform and M keeps some coefficients, so
    A A^T = M and A^+ = A^T. The transform needs a power of two; any other number of pixels is cut into pieces of
    different powers of two (96 = 64 + 32), transformed piece by piece, so W is orthonormal without padding.
    y has the image's shape; coefficient k stands at pixel k, row by row. Coefficient 0, the sum of the
    largest piece, is always kept; it is up to sqrt(H W) times as large as a pixel.

    Attributes:
        share: Share of coefficients kept, above 0 and up to 1; at least 1 coefficient is kept.
        seed: Seed for the shuffling and the choice of coefficients, which also depend on the number of pixels.

    References:
        DDRM (Kawar et al., 2022), https://arxiv.org/abs/2201.11793
        DDNM (Wang et al., 2023), https://arxiv.org/abs/2212.00490
    """

    share: float = 0.25
    seed: int = 0
    start_noise: float = 25 / 255

    def __post_init__(self) -> None:
        _check_share(self.share)

    image_shape = same_shape

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        pixels = x.flatten(2)
        order, keep = _shuffle(pixels.shape[-1], self.share, self.seed, x.device)
        return (_hadamard_pieces(pixels[..., order]) * keep).view_as(x)

    def adjoint(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        coefficients = y.flatten(2)
        order, keep = _shuffle(coefficients.shape[-1], self.share, self.seed, y.device)
        pixels = torch.empty_like(coefficients)
        pixels[..., order] = _hadamard_pieces(coefficients * keep)
        return pixels.view_as(y)

    pinv = adjoint

    def start(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        """Return an image in agreement with y and sparse in an overlapping cosine transform."""
        return sparse_start(self, y)

    guess = start

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        return two_valued(self, v, gain, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSensing:
    """y holds a share of random orthonormal projections of each block of x, channel by channel, and 0 elsewhere.

    Every block is projected on the same rows: the first gives its mean (times its side), the others are random.
    Blocks at the right and bottom edges are as small as the image leaves them and have rows of their own, so any
    size works and A^+ = A^T. y has the image's shape; coefficient k of a block stands at its pixel k, row by row.

    Attributes:
        share: Share of the coefficients of each block kept, above 0 and up to 1; at least 1 coefficient is kept.
        block: Side of a block in pixels; the rows take (block^2)^2 * share numbers.
        seed: Seed for the random rows.

    References:
        DDNM (Wang et al., 2023), https://arxiv.org/abs/2212.00490
    """

    share: float = 0.25
    block: int = 32
    seed: int = 0
    start_noise: float = 25 / 255

    def __post_init__(self) -> None:
        _check_share(self.share)
        if self.block < 1:
            raise ValueError(f"BlockSensing needs blocks of at least 1 pixel, got block={self.block}")

    image_shape = same_shape

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        y = torch.zeros_like(x)
        for place, blocks, rows in self._parts(x):
            seen = blocks @ rows.mT
            coefficients = torch.cat([seen, torch.zeros_like(blocks[..., len(rows) :])], -1)
            y[place] = _unblocked(coefficients, y[place].shape, self.block)
        return y

    def adjoint(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        x = torch.zeros_like(y)
        for place, coefficients, rows in self._parts(y):
            x[place] = _unblocked(coefficients[..., : len(rows)] @ rows, x[place].shape, self.block)
        return x

    pinv = adjoint

    def start(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        """Return an image in agreement with y and sparse in an overlapping cosine transform."""
        return sparse_start(self, y)

    guess = start

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        return two_valued(self, v, gain, 1.0)

    def _parts(self, x: Tensor) -> Iterator[tuple[tuple[slice | EllipsisType, ...], Tensor, Tensor]]:
        """Yield for each part of x with blocks of equal size: its place, its blocks as vectors, and their rows."""
        for down in _split(x.shape[-2], self.block):
            for across in _split(x.shape[-1], self.block):
                place = (..., down, across)
                blocks = _blocked(x[place], self.block)
                n = blocks.shape[-1]
                kept = max(1, round(self.share * n))
                yield place, blocks, _random_rows(n, kept, self.seed, x.dtype, x.device)


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"the share of coefficients to keep must be above 0 and at most 1, got {share}")


@lru_cache(maxsize=8)
def _shuffle(n: int, share: float, seed: int, device: torch.device) -> tuple[Int[Tensor, " n"], Bool[Tensor, " n"]]:
    """Return a random order of n pixels and a mask of the n coefficients: true for number 0 and a random choice."""
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False):  # the next caller of a cached tensor may want gradients
        order, choice = torch.randperm(n, generator=generator), 1 + torch.randperm(n - 1, generator=generator)
        keep = torch.zeros(n, dtype=torch.bool)
        keep[0] = True
        keep[choice[: max(1, round(share * n)) - 1]] = True
        return order.to(device), keep.to(device)


def _hadamard_pieces(v: Float[Tensor, "B C n"]) -> Float[Tensor, "B C n"]:
    """Return the orthonormal Walsh-Hadamard transform, which is its own inverse, of each of v's pieces."""
    n = v.shape[-1]
    sizes = [1 << bit for bit in reversed(range(n.bit_length())) if n >> bit & 1]
    return torch.cat([_hadamard(piece) for piece in torch.split(v, sizes, -1)], -1)


def _hadamard(v: Float[Tensor, "B C n"]) -> Float[Tensor, "B C n"]:
    """Return the transform of 2^k numbers: eight bits of the index at a time, as a product with a 256 x 256 matrix."""
    n, step, shape = v.shape[-1], 1, v.shape
    while step < n:
        side = min(256, n // step)
        lines = v.reshape(*shape[:2], -1, side, step)
        v = torch.einsum("ij,bcnjk->bcnik", _hadamard_matrix(side, v.dtype, v.device), lines)
        step *= side
    return v.reshape(shape)


@lru_cache(maxsize=32)
def _hadamard_matrix(side: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "side side"]:
    with torch.inference_mode(False):
        matrix = torch.ones(1, 1, dtype=torch.float64)
        while len(matrix) < side:
            matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
        return (matrix / math.sqrt(side)).to(dtype=dtype, device=device)


def _split(side: int, block: int) -> list[slice]:
    """Return the slice of a side's whole blocks and the slice of the rest, without empty slices."""
    whole = side - side % block
    return [part for part in (slice(0, whole), slice(whole, side)) if part.start < part.stop]


def _blocked(x: Float[Tensor, "B C H W"], block: int) -> Float[Tensor, "B C rows columns n"]:
    """Return the blocks as vectors; a side below `block` is a single block."""
    *batch, H, W = x.shape
    height, width = min(block, H), min(block, W)
    return x.reshape(*batch, H // height, height, W // width, width).transpose(-3, -2).flatten(-2)


def _unblocked(blocks: Float[Tensor, "B C rows columns n"], shape: torch.Size, block: int) -> Float[Tensor, "B C H W"]:
    height, width = min(block, shape[-2]), min(block, shape[-1])
    return blocks.reshape(*blocks.shape[:-1], height, width).transpose(-3, -2).reshape(shape)


@lru_cache(maxsize=8)
def _random_rows(n: int, kept: int, seed: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "kept n"]:
    """Return orthonormal rows: the constant, then random ones."""
    with torch.inference_mode(False):
        columns = torch.randn(n, kept, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        columns[:, 0] = 1
        rows: Tensor = torch.linalg.qr(columns).Q.mT
        return rows.contiguous().to(dtype=dtype, device=device)
