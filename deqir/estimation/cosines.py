"""The 8 x 8 cosine transform of blocks: orthonormal, as JPEG has it."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from deqir.shapes import Float

BLOCK: Final = 8


def cosines(blocks: Float[Tensor, "N 8 8"]) -> Float[Tensor, "N 8 8"]:
    """Return the coefficients of blocks, vertical frequency first."""
    n = torch.arange(BLOCK, dtype=blocks.dtype)
    basis = math.sqrt(2 / BLOCK) * torch.cos(math.pi * (n + 0.5) * n[:, None] / BLOCK)
    basis[0] /= math.sqrt(2)
    return basis @ blocks @ basis.T
