"""Every operator against linear algebra and against the identities required of users' operators."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from deqir import check_operator, operators
from deqir.linalg.device_constant import Constant
from deqir.protocols import LinearOperator, SpectralOperator
from tests.conformance.dense import Shape, assert_conforms
from tests.conformance.examples import EXAMPLES
from tests.deqir.problems import rand
from tests.dispatching import Operations


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> tuple[LinearOperator, Shape]:
    return EXAMPLES[str(request.param)]


def test_every_operator_has_an_example() -> None:
    exported = {name for name in operators.__all__ if hasattr(getattr(operators, name), "pinv")}
    assert exported == {type(A).__name__ for A, _ in EXAMPLES.values()}


def test_all_methods_are_those_of_the_dense_matrix(example) -> None:
    assert_conforms(*example)


def test_every_operator_passes_the_check_that_users_run_on_theirs(example) -> None:
    A, shape = example
    report = check_operator(A, shape)
    assert max(report.adjoint, *(report.penrose or ()), *(report.solved or ())) < 1e-8
    if not isinstance(A, operators.MatrixFree):
        assert report.start_misfit < 0.3


def test_single_precision_gives_the_same_to_its_rounding(example) -> None:
    A, shape = example
    exact_in_single = not isinstance(A, operators.MatrixFree)  # its start stops on the way
    if isinstance(A, operators.MatrixFree):
        A = operators.MatrixFree(forward=A.forward, transpose=A.transpose, shape=shape)
    if isinstance(A, operators.FramedDeblurring):
        A = replace(A, tolerance=1e-5)
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    y = A(x.double())
    torch.testing.assert_close(A(x).double(), y, atol=1e-5, rtol=1e-5)
    methods: list[Callable[[Tensor], Tensor]] = [A.adjoint, A.pinv, *([A.start] if exact_in_single else [])]
    for method in methods:
        exact, rough = method(y), method(y.float())
        assert rough.dtype == torch.float32
        torch.testing.assert_close(rough.double(), exact, atol=1e-3, rtol=1e-3)


def use(A: LinearOperator, x: Tensor) -> list[Tensor]:
    y = A(x)
    filtered = [A.filter(x, torch.square)] if isinstance(A, SpectralOperator) else []
    return [y, A.adjoint(y), A.pinv(y), *filtered]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_an_operator_holds_is_placed_once(example, dtype) -> None:
    """Only an iteration for A^+ reads values on the way, to end as soon as it can."""
    A, shape = example
    x = rand(2, *shape).to(dtype)
    if isinstance(A, operators.MatrixFree | operators.FramedDeblurring):
        A = replace(A, tolerance=1e-4)
    with torch.no_grad():
        first = use(A, x)
        with Operations() as seen:
            again = use(A, x)
    assert seen.copies == 0
    if not isinstance(A, operators.MatrixFree | operators.FramedDeblurring):
        assert seen.counts["aten._local_scalar_dense.default"] == 0
    torch.testing.assert_close(again, first, rtol=0, atol=0)


def test_a_constant_is_copied_where_it_does_not_fit_and_goes_elsewhere_without_its_copy() -> None:
    mask = torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) > 0.5
    held = Constant(mask)
    assert held.like(mask) is mask
    for like in (rand(1), rand(1).float(), rand(1)):
        with torch.inference_mode():
            placed = held.like(like)
        assert (placed.dtype, placed.is_inference()) == (like.dtype, False)
        assert torch.equal(placed, mask.to(like.dtype))
        assert held.like(like) is placed
    A = operators.Inpainting(keep=mask)
    fresh = len(pickle.dumps(A))
    x = rand(2, 3, 5, 7)
    y = A(x)
    assert len(pickle.dumps(A)) == fresh
    assert torch.equal(pickle.loads(pickle.dumps(A))(x), y)


def test_gradients_pass_through_even_after_use_without_them(example) -> None:
    """Tensors cached in a call under inference mode must serve a caller who wants gradients."""
    A, shape = example
    x = rand(2, *shape)
    with torch.inference_mode():
        A.pinv(A(x))
    x.requires_grad_()
    seen = A.pinv(A(x))
    (gradient,) = torch.autograd.grad(seen.square().sum() / 2, x)
    torch.testing.assert_close(gradient, seen.detach(), atol=1e-8, rtol=0)  # a projection: P^T P x = P x
