"""An operator as a matrix, and its methods against linear algebra."""

from __future__ import annotations

import torch
from torch import Tensor

from deqir.protocols import LinearOperator, SpectralOperator
from tests.deqir.problems import rand

Shape = tuple[int, int, int]


def dense(A: LinearOperator, shape: Shape) -> Tensor:
    """A as a matrix, with a column for each basis image."""
    size = shape[0] * shape[1] * shape[2]
    return A(torch.eye(size, dtype=torch.float64).view(size, *shape)).flatten(1).mT


def assert_conforms(A: LinearOperator, shape: Shape, *, matrix: Tensor | None = None) -> None:
    """Check A's methods against its matrix, or the given matrix, to 1e-10 in float64."""
    matrix = dense(A, shape) if matrix is None else matrix
    x = rand(2, *shape)
    y = A(x)
    v = rand(*y.shape, seed=1)
    assert A.image_shape(tuple(y.shape)) == shape
    assert A.image_shape(tuple(y.shape[1:])) == shape
    close(y, x.flatten(1) @ matrix.mT)
    close(A.adjoint(v), v.flatten(1) @ matrix)
    close(A.pinv(v), v.flatten(1) @ torch.linalg.pinv(matrix).mT)
    if isinstance(A, SpectralOperator):
        squares, V = torch.linalg.eigh(matrix.mT @ matrix)
        weights = torch.tensor([0.3, 2.0], dtype=torch.float64)
        gains = 1 / (squares.clamp(min=0) + weights[:, None])
        mixed = A.filter(x, lambda s: 1 / (s.square() + weights[:, None, None, None]))
        close(mixed, (x.flatten(1) @ V * gains) @ V.mT)


def close(actual: Tensor, expected: Tensor, *, to: float = 1e-10) -> None:
    torch.testing.assert_close(actual.flatten(1), expected.flatten(1), atol=to, rtol=to)
