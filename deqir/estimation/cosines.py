"""The 8 x 8 cosine transform of blocks: orthonormal, as JPEG has it."""

from __future__ import annotations

from torch import Tensor

from deqir.linalg import dct
from deqir.shapes import Float


def cosines(blocks: Float[Tensor, "N 8 8"]) -> Float[Tensor, "N 8 8"]:
    """Return the coefficients of blocks, vertical frequency first."""
    basis = dct.cosines().to(blocks)
    return basis @ blocks @ basis.T
