"""Operators with cut singular values against linear algebra."""

from __future__ import annotations

import torch
from torch import Tensor

from deqir.protocols import SpectralOperator
from tests.deqir.problems import rand

from .dense import Shape, close, dense


def clear_threshold(matrix: Tensor, least: float) -> float:
    """A share of the largest singular value in the widest gap between least and 3 least.

    Rounding then cannot change which singular values are cut, and the dense pseudoinverse separates the kept from the
    cut subspace exactly enough for a comparison.
    """
    share = torch.linalg.svdvals(matrix)
    share = share / share[0]
    inside = share[(share > least) & (share < 3 * least)]
    ends = torch.cat([inside.new_tensor([3 * least]), inside, inside.new_tensor([least])]).log()
    widest = int((-ends.diff()).argmax())
    return float(ends[widest : widest + 2].mean().exp())


def assert_truncated(A: SpectralOperator, shape: Shape, *, threshold: float) -> None:
    """Check A and its adjoint against the matrix, and its inverse and filter against the matrix after the cut."""
    matrix = dense(A, shape)
    x = rand(2, *shape)
    y = A(x)
    v = rand(*y.shape, seed=1)
    assert A.image_shape(tuple(y.shape)) == shape
    close(y.flatten(1), x.flatten(1) @ matrix.mT)
    close(A.adjoint(v).flatten(1), v.flatten(1) @ matrix)
    close(A.pinv(v).flatten(1), v.flatten(1) @ torch.linalg.pinv(matrix, rtol=threshold).mT)
    assert A.start(y).shape == A.guess(y).shape == x.shape

    _, values, Vh = torch.linalg.svd(matrix)
    s = torch.zeros(len(Vh), dtype=torch.float64)
    s[: len(values)] = torch.where(values > threshold * values[0], values, 0.0)
    weights = torch.tensor([0.3, 2.0], dtype=torch.float64)  # of each image, as at different steps
    for gain in (torch.square, torch.sign, lambda s: torch.cos(9 * s), lambda s: 1 / (s + _in_front(weights, s))):
        gains = gain(s[None]).expand(2, -1)
        close(A.filter(x, gain).flatten(1), (x.flatten(1) @ Vh.mT * gains) @ Vh)


def assert_penrose_on_kept(A: SpectralOperator, shape: Shape) -> None:
    """Check the Penrose conditions on the singular values that A keeps."""
    x, u = rand(2, *shape), rand(2, *shape, seed=2)
    y, v = A(x), rand(*A(x).shape, seed=1)
    close(A.pinv(A(A.pinv(v))), A.pinv(v))
    torch.testing.assert_close((A(A.pinv(v)) * y).sum(), (v * A(A.pinv(y))).sum())
    torch.testing.assert_close((A.pinv(A(x)) * u).sum(), (x * A.pinv(A(u))).sum())
    kept = A.filter(x, lambda s: (s > 0).to(s))
    close(A.pinv(A(x)), kept)
    close(A(A.pinv(A(kept))), A(kept))


def _in_front(weights: Tensor, s: Tensor) -> Tensor:
    """Return a weight for each image, before the dimensions of s."""
    return weights.view(-1, *[1] * (s.ndim - 1))
