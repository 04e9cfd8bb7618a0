"""What linear algebra says of an operator whose small singular values are cut."""

from __future__ import annotations

import torch
from torch import Tensor

from deqir.protocols import SpectralOperator
from tests.deqir.problems import rand

from .dense import Shape, close, dense


def keeps_clear_of(threshold: float, matrix: Tensor) -> bool:
    """Whether rounding cannot change which singular values lie above a share of the largest."""
    share = torch.linalg.svdvals(matrix)
    return bool(((share / share[0] / threshold - 1).abs() > 1e-6).all())


def assert_truncated(A: SpectralOperator, shape: Shape, *, threshold: float) -> None:
    """A and its adjoint are those of its matrix, its inverse and filter those of the matrix after the cut."""
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


def _in_front(weights: Tensor, s: Tensor) -> Tensor:
    """One weight an image, before the dimensions of s."""
    return weights.view(-1, *[1] * (s.ndim - 1))
