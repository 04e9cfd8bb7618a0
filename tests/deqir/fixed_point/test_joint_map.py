"""The joint map against the sequential chain, for every operator and every surrogate, in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from deqir import Anderson, Chain, Outcome, Picard
from deqir.fixed_point.joint_map import JointMap
from deqir.restore import SURROGATES
from deqir.sampling.sampler import Sampler
from tests.deqir.problems import KEEP, OPERATORS, Counting, make_sampler, rand, toy_denoiser

ROUNDING = 1e-9  # float64, chains of a few steps whose published form amplifies rounding by up to 1e3


def states(sampler: Sampler) -> Tensor:
    return torch.stack(list(sampler.sequential(sampler.initial())), 1)


@pytest.mark.parametrize("eta", [0.0, 0.85, 1.0])
def test_after_k_calls_the_first_k_states_are_the_sequential_ones(A, surrogate, eta) -> None:
    sampler = make_sampler(A, eta=eta)
    exact, F, rows = states(sampler), JointMap(sampler, SURROGATES[surrogate]), torch.arange(2)
    X = rand(*exact.shape, seed=9)  # whatever the solve starts from
    for k in range(1, sampler.chain.steps + 1):
        X = F(X, rows)
        torch.testing.assert_close(X[:, :k], exact[:, :k], rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(F(X, rows), exact, rtol=ROUNDING, atol=ROUNDING)


def test_the_sequential_chain_is_a_fixed_point_from_the_first_call(A, surrogate) -> None:
    sampler = make_sampler(A)
    exact = states(sampler)
    found = JointMap(sampler, SURROGATES[surrogate])(exact, torch.arange(2))
    torch.testing.assert_close(found, exact, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("solver", [Picard(tol=1e-11), Anderson(tol=1e-11)], ids=["picard", "anderson"])
def test_every_solver_finds_the_sequential_chain(solver, A, surrogate) -> None:
    sampler = make_sampler(A)
    found = solver(JointMap(sampler, SURROGATES[surrogate]), sampler.frozen())
    assert set(found.outcome) == {Outcome.CONVERGED}
    stale = getattr(solver, "memory", 1)  # Anderson's residual still sees its oldest states
    assert int(found.rounds.max()) <= sampler.chain.steps + stale
    torch.testing.assert_close(found.value, states(sampler), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("eta", [0.0, 0.85])
def test_the_published_form_is_the_cumulative_sum_of_proposition_1(eta) -> None:
    """With J = I the scan unrolls N x_k / sqrt(a_k) = N x_0 / sqrt(a_0) + sum of the steps' noise terms."""
    A = OPERATORS["inpaint"]
    sampler = make_sampler(A, eta=eta)
    X = rand(2, sampler.chain.steps, 3, *KEEP.shape, seed=9)
    found = JointMap(sampler, SURROGATES["eps"])(X, torch.arange(2))
    before = torch.cat([sampler.initial()[:, None], X[:, :-1]], 1)
    a, null = sampler.chain.alpha_bar, (~KEEP).double()
    total = sampler.initial() / a[0].sqrt()
    for i in range(sampler.chain.steps):
        e = toy_denoiser(before[:, i], a[i].expand(2))
        c1, c2, z = sampler.chain.c1[i], sampler.chain.c2[i], sampler.noise[:, i + 1]
        drift = (c2 - (a[i + 1] / a[i]).sqrt() * (1 - a[i]).sqrt()) * e + c1 * z
        total = total + drift / a[i + 1].sqrt()
        torch.testing.assert_close(found[:, i] * null, a[i + 1].sqrt() * total * null)


def test_network_evaluations_of_call_k_are_those_behind_the_exact_states() -> None:
    counting = Counting()
    sampler = make_sampler(OPERATORS["sr2"], denoiser=counting, steps=5)
    F, X = JointMap(sampler, SURROGATES["data"]), sampler.frozen()
    for _ in range(6):
        X = F(X, torch.arange(2))
    assert counting.rows == [10, 8, 6, 4, 2]


def test_the_size_of_a_network_batch_changes_nothing(A) -> None:
    sampler = make_sampler(A)
    rows, X = torch.arange(2), sampler.frozen()
    whole = JointMap(sampler, SURROGATES["secant"])(X, rows)
    pieces = JointMap(replace(sampler, denoiser_batch=5), SURROGATES["secant"])(X, rows)
    torch.testing.assert_close(whole, pieces)


def test_the_frozen_chain_is_the_sequential_one_of_a_denoiser_that_says_the_start() -> None:
    """Without another guess; the start agrees with the data, as every prediction does after a null-space step."""
    A = OPERATORS["sr2"]
    sampler = replace(make_sampler(A), guess=None)

    def says_start(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        a = alpha_bar[:, None, None, None]
        return (x_t - a.sqrt() * sampler.start) / (1 - a).sqrt()

    agreeing = make_sampler(A, denoiser=says_start)
    torch.testing.assert_close(sampler.frozen(), states(agreeing))


def test_the_last_state_explains_the_data(A) -> None:
    sampler = make_sampler(A)
    x_0 = states(sampler)[:, -1]
    torch.testing.assert_close(A.pinv(A(x_0)), sampler.pinv_y)


def test_a_chain_of_one_step_is_one_denoising() -> None:
    sampler = make_sampler(OPERATORS["inpaint"], steps=1)
    chain: Chain = sampler.chain
    x = sampler.initial()
    denoised = (x - (1 - chain.alpha_bar[0]).sqrt() * toy_denoiser(x, chain.alpha_bar[:1].expand(2))) / (
        chain.alpha_bar[0].sqrt()
    )
    torch.testing.assert_close(states(sampler)[:, 0], torch.where(KEEP, sampler.pinv_y, denoised))
