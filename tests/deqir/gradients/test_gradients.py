"""Gradients through the chain against autograd, dense linear algebra and each other, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from deqir import Anderson, Chain, GaussianPrior, Outcome, Picard, operators
from deqir.fixed_point.joint_map import JointMap
from deqir.fixed_point.surrogates import Wiener
from deqir.gradients.adjoint_map import AdjointMap
from deqir.gradients.gradients import Gradient, chain_states, exact_adjoint, parallel_adjoint, phantom_gradient
from deqir.networks.ffdnet import DenoiserPrior
from deqir.priors import FFDNet
from deqir.protocols import SpectralOperator
from deqir.restore import SURROGATES
from deqir.sampling.sampler import Sampler
from tests.deqir.problems import OPERATORS, Counting, make_sampler, rand

pytestmark = pytest.mark.slow

ROUNDING = 1e-10
ETAS = (0.0, 0.85, 1.0)


def a_loss(x: Tensor) -> Tensor:
    """Not quadratic, and different at every pixel."""
    return (x * rand(*x.shape, seed=8)).sum() + x.pow(3).sum()


def by_autograd(sampler: Sampler) -> tuple[Tensor, Tensor, Tensor]:
    """dL/dx_T, dL/dx_0 and dL/dnoise through the sequential chain with all its graphs kept."""
    noise = sampler.noise.clone().requires_grad_()
    first = replace(sampler, noise=noise).initial()
    last = replace(sampler, noise=noise).end(first)
    return torch.autograd.grad(a_loss(last), (last, first, noise))


def adjoints_by_autograd(sampler: Sampler) -> Tensor:
    """dL/dx_{T-1}, ..., dL/dx_0."""
    chain = [sampler.initial().requires_grad_()]
    chain += sampler.sequential(chain[0])
    return torch.stack(torch.autograd.grad(a_loss(chain[-1]), chain[:-1])[::-1], 1)


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize("sigma_y", [0.0, 0.1])
def test_the_exact_adjoint_is_autograds(A, eta, sigma_y) -> None:
    if sigma_y and not isinstance(A, SpectralOperator):
        pytest.skip("noise in y needs an operator that knows its singular values")
    sampler = make_sampler(A, eta=eta, sigma_y=sigma_y)
    end, state, noise = by_autograd(sampler)
    found = exact_adjoint(sampler, chain_states(sampler), end)
    assert error(found.state, state) < ROUNDING
    assert error(found.noise, noise) < ROUNDING
    assert found.evaluations == (6, 6)
    assert found.nfe == (18, 18)


@pytest.mark.parametrize("eta", ETAS)
def test_after_k_rounds_the_last_k_adjoints_are_exact(A, surrogate, eta) -> None:
    sampler = make_sampler(A, eta=eta)
    states = chain_states(sampler)
    end, state, noise = by_autograd(sampler)
    exact = adjoints_by_autograd(sampler)
    F, X = AdjointMap(sampler, states, end, SURROGATES[surrogate]), rand(*exact.shape, seed=9)  # from anywhere
    for k in range(1, sampler.chain.steps + 1):
        X = F(X, torch.arange(2))
        assert error(X[:, :k], exact[:, :k]) < ROUNDING
    found = parallel_adjoint(sampler, states, end, surrogate=SURROGATES[surrogate], solver=Picard(tol=0, max_rounds=6))
    assert error(found.state, state) < ROUNDING
    assert error(found.noise, noise) < ROUNDING
    assert found.outcome == (Outcome.CONVERGED,) * 2
    assert found.evaluations == (21, 21)


@pytest.mark.parametrize("name", ["wiener", "secant"])
@pytest.mark.parametrize("solver", [Picard(tol=1e-3), Anderson(tol=1e-3)], ids=["picard", "anderson"])
def test_a_tolerance_is_reached_before_all_steps_are_exact(name, solver) -> None:
    """With a denoiser whose Jacobian is small, as at low noise on flat ground."""
    sampler = make_sampler(OPERATORS["sr2"], steps=20, denoiser=nearly_flat)
    noise = sampler.noise.clone().requires_grad_()
    last = replace(sampler, noise=noise).end(replace(sampler, noise=noise).initial())
    end, wanted = torch.autograd.grad(a_loss(last), (last, noise))
    found = parallel_adjoint(sampler, chain_states(sampler), end, surrogate=SURROGATES[name], solver=solver)
    assert found.outcome == (Outcome.CONVERGED,) * 2
    assert max(found.rounds) < sampler.chain.steps
    assert error(found.noise, wanted) < 1e-2


def nearly_flat(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """The noise predictor whose data prediction follows a smoothed image by half."""
    a = alpha_bar.to(x_t)[:, None, None, None]
    u = x_t / a.sqrt()
    smooth = (u + u.roll(1, -1) + u.roll(1, -2) + u.roll(-1, -1) + u.roll(-1, -2)) / 5
    return (u - torch.tanh(0.5 * smooth)) * (a / (1 - a)).sqrt()


def test_more_rounds_bring_the_phantom_gradient_closer() -> None:
    sampler = make_sampler(OPERATORS["sr2"], steps=10, denoiser=nearly_flat)
    states = chain_states(sampler)
    end = rand(*states[:, 0].shape, seed=5)
    exact = exact_adjoint(sampler, states, end)
    errors = [error(phantom_gradient(sampler, states, end, rounds=k).noise, exact.noise) for k in (3, 6, 10)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < ROUNDING


def test_a_phantom_gradient_without_rounds_calls_no_network() -> None:
    sampler = make_sampler(OPERATORS["sr2"])
    states = chain_states(sampler)

    def refuses(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        raise AssertionError("the network was called")

    found = phantom_gradient(replace(sampler, denoiser=refuses), states, states[:, -1])
    assert found.nfe == (0, 0)
    assert bool(torch.isfinite(found.noise).all())


@pytest.mark.parametrize("eta", ETAS)
def test_with_a_gaussian_prior_it_is_the_transposed_product_of_the_steps_matrices(eta) -> None:
    """An independent computation: dense matrices in numpy, the chain's Jacobian in closed form."""
    A, steps, size = operators.SuperResolution(scale=2), 7, 48
    basis = torch.linalg.qr(rand(size, size)).Q
    C = basis * torch.logspace(-2.7, -0.3, size, dtype=torch.float64) @ basis.mT
    y = A(0.5 * rand(1, 3, 4, 4, seed=7))
    sampler = Sampler(
        denoiser=GaussianPrior(0.3 * rand(3, 4, 4), C),
        A=A,
        chain=Chain.between(0.3, 6 / 255, steps=steps, eta=eta),
        pinv_y=A.pinv(y),
        start=A.start(y),
        noise=rand(1, steps + 1, 3, 4, 4, seed=4),
    )
    end = rand(1, 3, 4, 4, seed=6)
    found = exact_adjoint(sampler, chain_states(sampler), end)

    matrix = A(torch.eye(size, dtype=torch.float64).view(size, 3, 4, 4)).flatten(1).mT.numpy()
    one, a = np.eye(size), 1 / (1 + np.append(2 * np.geomspace(0.3, 6 / 255, steps), 0.0) ** 2)
    null, adjoint = one - np.linalg.pinv(matrix) @ matrix, end.flatten().numpy()
    for i in reversed(range(steps)):
        c1, c2 = eta * np.sqrt(1 - a[i + 1]), np.sqrt(1 - eta**2) * np.sqrt(1 - a[i + 1])
        np.testing.assert_allclose(found.noise[0, i + 1].flatten(), c1 * adjoint, rtol=0, atol=1e-10)
        gain = np.sqrt(a[i]) * C.numpy() @ np.linalg.inv(a[i] * C.numpy() + (1 - a[i]) * one)
        jacobian = np.sqrt(a[i + 1]) * null @ gain + c2 / np.sqrt(1 - a[i]) * (one - np.sqrt(a[i]) * gain)
        adjoint = jacobian.T @ adjoint
    np.testing.assert_allclose(found.state.flatten(), adjoint, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.noise[0, 0].flatten(), np.sqrt(1 - a[0]) * adjoint, rtol=0, atol=1e-10)


def test_an_inverse_that_iterates_gives_the_gradient_of_one_that_does_not() -> None:
    """Autograd through conjugate gradients would be of their iterates, not of A^+."""
    pooling = operators.SuperResolution(scale=2)
    iterating = operators.MatrixFree(forward=pooling, transpose=pooling.adjoint, shape=(3, 8, 12), tolerance=1e-12)
    sampler = make_sampler(pooling)
    states, end = chain_states(sampler), rand(2, 3, 8, 12, seed=5)
    wanted = exact_adjoint(sampler, states, end)
    found = exact_adjoint(replace(sampler, A=iterating), states, end)
    assert error(found.noise, wanted.noise) < 1e-9


def test_states_of_a_parallel_solve_serve_as_well() -> None:
    sampler = make_sampler(OPERATORS["inpaint"])
    solved = Picard(tol=1e-13)(JointMap(sampler, SURROGATES["secant"]), sampler.frozen()).value
    states = torch.cat([sampler.initial()[:, None], solved], 1)
    end, _, noise = by_autograd(sampler)
    assert error(exact_adjoint(sampler, states, end).noise, noise) < ROUNDING


def test_it_works_where_a_restoration_runs_in_inference_mode() -> None:
    end, _, noise = by_autograd(make_sampler(OPERATORS["sr2"], sigma_y=0.1))
    with torch.inference_mode():
        sampler = make_sampler(OPERATORS["sr2"], sigma_y=0.1)
        states, end = chain_states(sampler), end.clone()
        for found in (
            exact_adjoint(sampler, states, end),
            parallel_adjoint(sampler, states, end, solver=Picard(tol=0, max_rounds=6)),
            phantom_gradient(sampler, states, end, rounds=6),
        ):
            assert error(found.noise, noise) < ROUNDING


@pytest.mark.parametrize("batch", [1, 2, 5, 100])
def test_the_size_of_a_micro_batch_bounds_network_calls_and_changes_nothing(batch) -> None:
    sampler = make_sampler(OPERATORS["sr2"], images=3)
    states, end = chain_states(sampler), rand(3, 3, 8, 12, seed=5)
    wanted = exact_adjoint(sampler, states, end).noise
    counting = Counting()
    small = replace(sampler, denoiser=counting, denoiser_batch=batch)
    for solve in (exact_adjoint, parallel_adjoint):
        counting.rows.clear()
        found = solve(small, states, end)
        assert max(counting.rows) <= batch
        assert sum(counting.rows) == sum(found.evaluations)
        assert error(found.noise, wanted) < (ROUNDING if solve is exact_adjoint else 0.1)


def test_images_of_a_batch_do_not_touch_each_other() -> None:
    sampler = make_sampler(OPERATORS["sr2"], images=3)
    states, end = chain_states(sampler), rand(3, 3, 8, 12, seed=5)
    end[1] = 0  # converges at once and leaves
    both = parallel_adjoint(sampler, states, end, solver=Picard(tol=1e-6))
    assert bool((both.noise[1] == 0).all())
    assert both.rounds[1] == 1
    for row in (0, 2):
        here = torch.tensor([row])
        alone = parallel_adjoint(sampler.take(here), states[here], end[here], solver=Picard(tol=1e-6))
        assert error(both.noise[here], alone.noise) < ROUNDING
        assert both.rounds[row] == alone.rounds[0]


class Alive(TorchDispatchMode):
    """Counts the bytes of the tensors that operations have made and that are still held.

    Args:
        given: Tensors that were there before.
    """

    def __init__(self, *given: Tensor) -> None:
        super().__init__()
        self._given = {tensor.untyped_storage()._cdata for tensor in given}
        self._held = dict[int, tuple[StorageWeakRef, int]]()
        self.peak = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        self._held = {key: held for key, held in self._held.items() if not held[0].expired()}
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._given:
                    self._held.setdefault(storage._cdata, (StorageWeakRef(storage), storage.nbytes()))
        self.peak = max(self.peak, sum(size for _, size in self._held.values()))
        return made


def memory(solve: Callable[[Sampler, Tensor, Tensor], Gradient], steps: int) -> tuple[int, int]:
    """Peak bytes of what a solve makes, and the most that one graph of the network keeps."""
    torch.manual_seed(0)
    network = DenoiserPrior(FFDNet().double().requires_grad_(False), max_noise=0.3)
    sampler = replace(make_sampler(OPERATORS["sr2"], steps=steps, denoiser=network), denoiser_batch=2)
    states = chain_states(sampler)
    kept, alive = list[int](), Alive(states, sampler.noise)

    def keep(tensor: Tensor) -> Tensor:
        kept[-1] += tensor.nbytes
        return tensor

    def noting(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        kept.append(0)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            return network(x_t, alpha_bar)

    with alive:
        solve(replace(sampler, denoiser=noting), states, states[:, -1])
    return alive.peak, max(kept)


def test_ten_times_the_steps_take_less_than_twice_the_memory() -> None:
    few, many = memory(exact_adjoint, 5), memory(exact_adjoint, 50)
    assert many[0] < 2 * few[0]
    assert many[1] == few[1]


def test_the_parallel_adjoint_keeps_one_micro_batch_of_graphs() -> None:
    def two_rounds(sampler: Sampler, states: Tensor, end: Tensor) -> Gradient:
        return phantom_gradient(sampler, states, end, surrogate=Wiener(), rounds=2)

    assert memory(two_rounds, 20)[1] == memory(two_rounds, 5)[1]


def test_a_negative_number_of_rounds_is_refused() -> None:
    sampler = make_sampler(OPERATORS["sr2"])
    states = chain_states(sampler)
    with pytest.raises(ValueError, match="0 rounds or more"):
        phantom_gradient(sampler, states, states[:, -1], rounds=-1)
