"""An overlapping 8 x 8 cosine transform as a tight frame: a basis in which denoisers are nearly diagonal."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from deqir.shapes import Float

BLOCK, STRIDE = 8, 2


def cosines() -> Float[Tensor, "8 8"]:
    """Return the orthonormal cosine transform of 8 numbers in float64, with a row per frequency."""
    n = torch.arange(BLOCK, dtype=torch.float64)
    basis = math.sqrt(2 / BLOCK) * torch.cos(math.pi * (n[None] + 0.5) * n[:, None] / BLOCK)
    basis[0] /= math.sqrt(2)
    return basis


def block_cosines(blocks: Float[Tensor, "N 8 8"]) -> Float[Tensor, "N 8 8"]:
    """Return the coefficients of blocks, vertical frequency first; orthonormal, as JPEG has them."""
    basis = cosines().to(blocks)
    return basis @ blocks @ basis.T


@lru_cache(maxsize=8)
def _atoms(dtype: torch.dtype, device: torch.device) -> Float[Tensor, "64 1 8 8"]:
    with torch.inference_mode(False):  # the next caller of a cached tensor may want gradients
        basis = cosines()
        atoms = torch.einsum("ai,bj->abij", basis, basis).reshape(BLOCK**2, 1, BLOCK, BLOCK)
        return atoms.to(dtype=dtype, device=device)


@lru_cache(maxsize=8)
def _blocks(dtype: torch.dtype, device: torch.device) -> Float[Tensor, "64 64"]:
    """Return the atoms as columns, weighted for all blocks over a pixel to add up to it."""
    with torch.inference_mode(False):
        return _atoms(dtype, device).flatten(1).mT * (STRIDE / BLOCK) ** 2


def _grid(side: int) -> int:
    """Return the side of the periodic domain: even, and wide enough for one block and its overlap."""
    return max(BLOCK, side + side % STRIDE)


def analyse(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "BC 64 h w"]:
    """Return the coefficients of x, extended by zeros to even sides of at least 8 and then periodically.

    A tight frame scaled to norm 1: synthesise(analyse(x)) = x and the two are each other's transpose up to
    the factor (STRIDE / BLOCK)^2.
    """
    h, w = x.shape[-2:]
    wide, overlap = x.reshape(-1, 1, h, w), BLOCK - STRIDE
    if (_grid(h), _grid(w)) != (h, w):
        wide = functional.pad(wide, (0, _grid(w) - w, 0, _grid(h) - h))
    wide = torch.cat([wide, wide[..., :overlap]], -1)  # functional.pad's "circular" takes six kernels
    wide = torch.cat([wide, wide[..., :overlap, :]], -2)
    return functional.conv2d(wide, _atoms(x.dtype, x.device), stride=STRIDE)


def synthesise(c: Float[Tensor, "BC 64 h w"], shape: torch.Size) -> Float[Tensor, "B C H W"]:
    """Return the image of `shape` with these coefficients."""
    h, w = _grid(shape[-2]), _grid(shape[-1])
    overlap = BLOCK - STRIDE
    blocks = _blocks(c.dtype, c.device) @ c.flatten(2)
    wide = functional.fold(blocks, (h + overlap, w + overlap), BLOCK, stride=STRIDE)  # 4 x conv_transpose2d's speed
    x = wide[..., :h, :w].clone()
    x[..., :overlap, :] += wide[..., h:, :w]
    x[..., :, :overlap] += wide[..., :h, w:]
    x[..., :overlap, :overlap] += wide[..., h:, w:]
    return x[..., : shape[-2], : shape[-1]].reshape(shape)
