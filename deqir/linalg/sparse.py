"""An image from few random measurements: sparse in an overlapping cosine transform."""

from __future__ import annotations

from typing import Final

from torch import Tensor
from torch.nn import functional

from deqir.linalg.dct import analyse, synthesise
from deqir.protocols import LinearOperator
from deqir.shapes import Float

SWEEPS: Final = 40
FIRST: Final = 0.5
LAST: Final = 0.05
"""Thresholds of the first and of the last sweep, for images in [-1, 1]."""


def sparse_start(A: LinearOperator, y: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Return an image in agreement with y and with few cosine coefficients.

    From A^+ y on, each sweep sets coefficients below a threshold to 0 and corrects the image by the data. The
    threshold falls geometrically, so coefficients above the noise of undersampling are found first.
    """
    x = A.pinv(y)
    for sweep in range(SWEEPS):
        c = analyse(x)
        c[:, 1:] = functional.hardshrink(c[:, 1:], FIRST * (LAST / FIRST) ** (sweep / (SWEEPS - 1)))
        smooth = synthesise(c, x.shape)
        x = smooth + A.pinv(y - A(smooth))
    return x
