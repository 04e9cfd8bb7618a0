"""A^+ from A and A^T alone, against dense linear algebra."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deqir.operators import Colorization, ConvergenceError, Inpainting, MatrixFree, SuperResolution, masks
from deqir.operators.matrix_free import natural
from deqir.protocols import SpectralOperator
from tests.conformance.dense import Shape, assert_conforms, close, dense
from tests.deqir.problems import rand


def by_matrix(matrix: Tensor, shape: Shape) -> MatrixFree:
    """The operator of a matrix, as a user would write it."""

    def forward(x: Tensor) -> Tensor:
        return (x.flatten(1) @ matrix.mT.to(x))[:, None, None]

    def transpose(y: Tensor) -> Tensor:
        return (y.flatten(1) @ matrix.to(y)).reshape(-1, *shape)

    return MatrixFree(forward=forward, transpose=transpose, shape=shape, tolerance=1e-13, max_iterations=500)


def matrix_of(m: int, n: int, rank: int, seed: int) -> Tensor:
    """A random matrix with nonzero singular values in 0.5 .. 2."""
    U, V = torch.linalg.qr(rand(m, rank, seed=seed)).Q, torch.linalg.qr(rand(n, rank, seed=seed + 1)).Q
    product: Tensor = U * torch.linspace(0.5, 2, rank, dtype=torch.float64) @ V.mT
    return product


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 5), st.integers(0, 99), st.floats(0, 1))
def test_the_pseudoinverse_is_that_of_the_matrix_whatever_its_shape_and_rank(m, height, width, seed, fullness) -> None:
    n = 2 * height * width
    matrix = matrix_of(m, n, 1 + round(fullness * (min(m, n) - 1)), seed)
    A = by_matrix(matrix, (2, height, width))
    assert not isinstance(A, SpectralOperator)
    assert_conforms(A, (2, height, width), matrix=matrix)


def test_every_image_is_solved_by_itself() -> None:
    """A zero, an easy (singular vector) and a hard image; each result equals the result for the image alone."""
    matrix = matrix_of(12, 16, 12, 0)
    A = replace(by_matrix(matrix, (1, 4, 4)), tolerance=1e-9)
    y = torch.stack([torch.zeros(12, dtype=torch.float64), torch.linalg.svd(matrix).U[:, 0], rand(12)])[:, None, None]
    solved = A.solve(y)
    assert solved.iterations.tolist()[:2] == [0, 1]
    assert solved.iterations[2] > 5
    assert solved.converged.all()
    for n in range(3):
        close(solved.x[n : n + 1], A.pinv(y[n : n + 1]))


def test_an_image_that_is_not_finite_does_not_stop_the_others() -> None:
    A = replace(by_matrix(matrix_of(12, 16, 12, 0), (1, 4, 4)), tolerance=1e-9)
    y = rand(3, 1, 1, 12)
    y[1, 0, 0, 3] = torch.nan
    x = A.pinv(y)
    assert x[1].isnan().all()
    close(x[::2], A.pinv(y[::2]))


def test_too_few_iterations_are_an_error_that_names_the_images_and_a_flag_in_solve() -> None:
    A = replace(by_matrix(matrix_of(12, 16, 12, 0), (1, 4, 4)), max_iterations=2)
    y = torch.cat([torch.zeros(1, 1, 1, 12, dtype=torch.float64), rand(1, 1, 1, 12)])
    with pytest.raises(ConvergenceError, match=r"images \[1\] of the batch of 2 .* after 2 iterations.*allow more"):
        A.pinv(y)
    solved = A.solve(y)
    assert solved.converged.tolist() == [True, False]
    assert 0 < solved.residual[1] < 1


def test_a_wrong_transpose_is_told_apart_from_a_slow_solve() -> None:
    A = by_matrix(matrix_of(12, 16, 12, 0), (1, 4, 4))
    wrong = replace(A, transpose=lambda y: A.transpose(y).flip(-1))
    with pytest.raises(ConvergenceError, match=r"deqir\.check_operator"):
        wrong.pinv(rand(1, 1, 1, 12))


SMOOTH = torch.linspace(-0.8, 0.8, 32, dtype=torch.float64)[:, None] * torch.linspace(1, 0.2, 24, dtype=torch.float64)
WARM = SMOOTH + torch.tensor([0.1, 0.0, -0.1], dtype=torch.float64)[None, :, None, None]


@pytest.mark.parametrize(
    "own", [SuperResolution(scale=4), Inpainting(keep=masks.random(32, 24, lost=0.6)), Colorization()]
)
def test_the_start_is_nearly_as_good_as_the_one_made_for_the_operator(own) -> None:
    A = MatrixFree(forward=own, transpose=own.adjoint, shape=(3, 32, 24))
    y = own(WARM)
    error, blocky = (A.start(y) - WARM).norm(), (own.pinv(y) - WARM).norm()
    assert error < 0.6 * blocky
    assert error < 2 * (own.start(y) - WARM).norm() + 0.02 * WARM.norm()


def test_in_the_limit_the_start_agrees_with_the_data() -> None:
    own = SuperResolution(scale=2)
    A = MatrixFree(forward=own, transpose=own.adjoint, shape=(1, 8, 8), start_iterations=400, tolerance=1e-12)
    y = own(rand(2, 1, 8, 8))
    close(A(A.start(y)), y, to=1e-7)


@pytest.mark.parametrize("shape", [(1, 5, 8), (3, 4, 7)])
def test_the_colouring_is_symmetric_and_positive(shape) -> None:
    size = torch.Size(shape).numel()
    matrix = natural(torch.eye(size, dtype=torch.float64).view(size, *shape)).flatten(1)
    close(matrix, matrix.mT)
    assert torch.linalg.eigvalsh(matrix).min() > 0


def test_functions_that_do_not_fit_the_shape_are_named() -> None:
    A = by_matrix(matrix_of(12, 16, 12, 0), (1, 4, 4))
    with pytest.raises(ValueError, match=r"for images of shape \(1, 4, 4\), got \(1, 4, 5\)"):
        A(rand(1, 1, 4, 5))
    with pytest.raises(ValueError, match=r"`forward` made \(1, 12\).*reshape them"):
        replace(A, forward=lambda x: A.forward(x).flatten(1))(rand(1, 1, 4, 4))
    with pytest.raises(ValueError, match=r"`transpose` made \(1, 16\)"):
        replace(A, transpose=lambda y: A.transpose(y).flatten(1)).adjoint(rand(1, 1, 1, 12))


@pytest.mark.parametrize(
    "wrong", [{"tolerance": 0.0}, {"tolerance": 1.0}, {"max_iterations": 0}, {"start_iterations": 0}]
)
def test_settings_that_solve_nothing_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="between 0 and 1 and at least 1 iteration"):
        replace(by_matrix(matrix_of(2, 4, 2, 0), (1, 2, 2)), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="channels, height, width"):
        MatrixFree(forward=torch.clone, transpose=torch.clone, shape=(1, 0, 2))


def test_parts_are_applied_first_to_last() -> None:
    mask, pool = Inpainting(keep=masks.random(4, 6, lost=0.3)), SuperResolution(scale=2)
    A = MatrixFree.of_parts((mask, pool), (3, 4, 6), tolerance=1e-14)
    close(dense(A, (3, 4, 6)), dense(pool, (3, 4, 6)) @ dense(mask, (3, 4, 6)))
    assert_conforms(A, (3, 4, 6))
