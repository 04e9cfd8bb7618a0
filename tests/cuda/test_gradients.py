"""Gradients through chains, searches for noise and solvers are on a GPU what they are on the CPU."""

from __future__ import annotations

import pytest
import torch

from deqir.gradients import chain_states, exact_adjoint, parallel_adjoint, phantom_gradient
from deqir.losses import GuideName, guided
from deqir.optimisation import Optimisation, optimise
from deqir.perceptual import Lpips
from deqir.solvers import Anderson, Picard
from tests.cuda.waits import waited
from tests.deqir.problems import OPERATORS, make_sampler, rand
from tests.deqir.restorations import moved, twins

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("name", OPERATORS)
def test_gradients_are_the_same_there(name: str, device: torch.device) -> None:
    here = make_sampler(OPERATORS[name], images=3)
    states, end = chain_states(here), rand(*here.start.shape, seed=5)
    far, far_states, far_end = moved(here, device), states.to(device), end.to(device)
    torch.testing.assert_close(chain_states(far).cpu(), states)
    for function, once_a_round in ((exact_adjoint, False), (phantom_gradient, False), (parallel_adjoint, True)):
        expected = function(here, states, end)
        function(far, far_states, far_end)
        with waited(device) as lines:
            found = function(far, far_states, far_end)
        torch.testing.assert_close(found.noise.cpu(), expected.noise)
        assert found.rounds == expected.rounds
        assert len(lines) == (max(found.rounds) if once_a_round else 0), lines


@pytest.mark.parametrize("gradient", ["exact", "parallel", "phantom"])
@pytest.mark.parametrize("name", ["pixels", "colour", "lpips"])
def test_noise_is_optimised_there(name: GuideName, gradient: str, device: torch.device) -> None:
    side = 32 if name == "lpips" else 8
    here = make_sampler(OPERATORS["colorize"], images=2, shape=(3, side, side), steps=3)
    far, guide = moved(here, device), 0.5 * rand(2, 3, side, side, seed=12)
    lpips, lpips_there = twins(lambda: Lpips().double(), device) if name == "lpips" else (None, None)
    settings, loss = Optimisation(steps=2, gradient=gradient, variables="all"), guided(name, guide, lpips=lpips)  # type: ignore[arg-type]
    expected, loss_there = optimise(here, loss, settings=settings), guided(name, guide.to(device), lpips=lpips_there)
    optimise(far, loss_there, settings=settings)
    with waited(device) as lines:
        found = optimise(far, loss_there, settings=settings)
    torch.testing.assert_close(found.images.cpu(), expected.images, rtol=0, atol=1e-5)
    in_search = [line for line in lines if "solvers.py" not in line]
    assert len(in_search) == 2 + 2 + 1, in_search  # losses and gradients of two iterates, losses of the last


@pytest.mark.parametrize("solver", [Picard(tol=1e-4), Anderson(tol=1e-4), Anderson(tol=1e-4, safeguard=False)])
def test_a_solver_waits_once_a_round_also_where_elements_leave(solver: Picard | Anderson, device: torch.device) -> None:
    pace = torch.tensor([0.01, 0.5, 0.9, float("nan")], dtype=torch.float64)[:, None, None]
    init, target = torch.zeros(4, 2, 5, dtype=torch.float64), rand(4, 2, 5)
    expected = solver(lambda x, rows: target[rows] + pace[rows] * torch.cos(x), init)
    far_pace, far_target, far_init = pace.to(device), target.to(device), init.to(device)
    solver(lambda x, rows: far_target[rows] + far_pace[rows] * torch.cos(x), far_init)
    with waited(device) as lines:
        found = solver(lambda x, rows: far_target[rows] + far_pace[rows] * torch.cos(x), far_init)
    torch.testing.assert_close(found.value.cpu(), expected.value, equal_nan=True)
    assert (found.rounds.tolist(), found.outcome) == (expected.rounds.tolist(), expected.outcome)
    assert len(lines) == max(found.rounds.tolist()), lines
