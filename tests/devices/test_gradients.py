"""Gradients through chains, searches for noise and solvers give the CPU's results on another device."""

from __future__ import annotations

import pytest
import torch

from deqir.fixed_point.solvers import Anderson, Picard
from deqir.gradients.gradients import chain_states, exact_adjoint, parallel_adjoint, phantom_gradient
from tests.deqir.problems import OPERATORS, make_sampler, rand
from tests.deqir.restorations import moved
from tests.deqir.searches import search, solve
from tests.devices.waits import waited


@pytest.mark.parametrize("name", OPERATORS)
def test_gradients_are_the_same_there(name, device) -> None:
    here = make_sampler(OPERATORS[name], images=3)
    states, end = chain_states(here), rand(*here.start.shape, seed=5)
    far, far_states, far_end = moved(here, device), states.to(device), end.to(device)
    torch.testing.assert_close(chain_states(far).cpu(), states)
    for function, once_a_round in ((exact_adjoint, False), (phantom_gradient, False), (parallel_adjoint, True)):
        expected = function(here, states, end)
        with waited(device) as first:
            function(far, far_states, far_end)
        assert len(first.streamed) + len(first.uploads) <= 2 + len(end)  # levels, weights, who is left
        with waited(device) as asked:
            found = function(far, far_states, far_end)
        torch.testing.assert_close(found.noise.cpu(), expected.noise)
        assert found.rounds == expected.rounds
        assert len(asked.waits) == (max(found.rounds) if once_a_round else 0), asked
        assert not asked.uploads


@pytest.mark.parametrize("gradient", ["exact", "parallel", "phantom"])
@pytest.mark.parametrize("name", ["pixels", "colour", "lpips"])
def test_noise_is_optimised_there(name, gradient, device) -> None:
    expected, search_there = search(name, gradient, device)
    with waited(device) as asked:
        found = search_there()
    torch.testing.assert_close(found.images.cpu(), expected.images, rtol=0, atol=1e-5)
    assert not asked.uploads
    in_search = [wait for wait in asked.waits if "solvers.py" not in wait]
    assert len(in_search) == 2 + 2 + 1, in_search  # losses and gradients of two iterates, losses of the last


@pytest.mark.parametrize("solver", [Picard(tol=1e-4), Anderson(tol=1e-4), Anderson(tol=1e-4, safeguard=False)])
def test_a_solver_waits_once_a_round_also_where_elements_leave(solver, device) -> None:
    expected, solve_there = solve(solver, device)
    solve_there()
    with waited(device) as asked:
        found = solve_there()
    torch.testing.assert_close(found.value.cpu(), expected.value, equal_nan=True)
    assert (found.rounds.tolist(), found.outcome) == (expected.rounds.tolist(), expected.outcome)
    assert len(set(found.rounds.tolist())) > 2
    assert len(asked.waits) == max(found.rounds.tolist()), asked
    assert not asked.uploads
