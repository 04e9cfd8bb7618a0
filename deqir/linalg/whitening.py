"""Measurements with a noise of their own each, turned into an image with white noise."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from deqir.shapes import Float


class Whitened(NamedTuple):
    """A symmetric map A = V diag(s) V^T of blocks of n numbers, to be observed with white noise.

    Attributes:
        basis: V, shape (n, r), its columns orthonormal; r <= n is the rank.
        s: Singular values, the largest 1, shape (r,).
        sigma: Standard deviation of the white noise, sigma_y of a restoration.
    """

    basis: Float[Tensor, "n r"]
    s: Float[Tensor, " r"]
    sigma: float

    @property
    def inverse(self) -> Float[Tensor, "n r"]:
        """V diag(1 / s), for A^+ y = inverse V^T y."""
        return self.basis / self.s


def whitened(matrix: Float[Tensor, "m n"], deviations: Float[Tensor, " m"]) -> Whitened:
    """Return A for m measurements M x, each with independent noise of its own standard deviation.

    Divided by its deviation each measurement has noise of 1. With W = diag(1 / deviations) and the decomposition
    W M = U S V^T, the rotation V U^T turns W M x into V S V^T x and leaves the noise white. All are scaled to make the
    largest singular value 1: `sigma` becomes 1 / max S. In component n the data then know V^T x up to sigma / s_n.

    Args:
        matrix: M, of full row rank, m <= n.
        deviations: Standard deviations, all above 0.

    Raises:
        ValueError: A deviation is not above 0, or M is not of full row rank.
    """
    if not bool((deviations > 0).all()):
        raise ValueError("each measurement needs a noise above 0; replace 0 by a small standard deviation")
    _, s, v = torch.linalg.svd(matrix.double() / deviations.double()[:, None], full_matrices=False)
    if matrix.shape[0] > matrix.shape[1] or float(s[-1]) <= 1e-9 * float(s[0]):
        raise ValueError(f"a matrix of {tuple(matrix.shape)} is not of full row rank: measurements repeat each other")
    return Whitened(basis=v.mT.contiguous(), s=s / s[0], sigma=1 / float(s[0]))
