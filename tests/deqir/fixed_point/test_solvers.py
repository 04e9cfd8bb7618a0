"""Solvers on problems whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count

import pytest
import torch
from torch import Tensor

from deqir import Anderson, Outcome, Picard
from deqir.fixed_point.solvers import block_residual
from tests.deqir.problems import rand

SOLVERS = [Picard(tol=1e-10), Anderson(tol=1e-10)]
both = pytest.mark.parametrize("solver", SOLVERS, ids=["picard", "anderson"])


@both
def test_the_cosine_fixed_point_is_found(solver) -> None:
    found = solver(lambda x, rows: torch.cos(x), rand(3, 1, 4))
    assert found.outcome == (Outcome.CONVERGED,) * 3
    torch.testing.assert_close(found.value, torch.full((3, 1, 4), 0.7390851332151607, dtype=torch.float64))


def test_picards_gap_on_a_contraction_falls_by_its_factor() -> None:
    """x -> x / 2 + 1 from 0: the gap halves every round."""
    found = Picard(tol=1e-10)(lambda x, rows: x / 2 + 1, torch.zeros(1, 1, 1, dtype=torch.float64))
    torch.testing.assert_close(found.value, torch.full((1, 1, 1), 2.0, dtype=torch.float64))
    values = 2 - 0.5 ** torch.arange(len(found.residual), dtype=torch.float64)
    gaps = found.residual[:, 0, 0] * values
    torch.testing.assert_close(gaps[1:] / gaps[:-1], torch.full_like(gaps[1:], 0.5))


def test_anderson_solves_a_rotation_that_plain_iteration_cannot() -> None:
    c, s = math.cos(1.0), math.sin(1.0)
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    centre = torch.tensor([1.0, 2.0], dtype=torch.float64)

    def F(x: Tensor, rows: Tensor) -> Tensor:  # keeps distances from `centre`: no contraction
        return (x - centre) @ turn.mT + centre

    init = torch.zeros(1, 1, 2, dtype=torch.float64)
    assert Picard(tol=1e-8, max_rounds=200)(F, init).outcome == (Outcome.MAX_ROUNDS,)
    found = Anderson(tol=1e-8, ridge=1e-14)(F, init)
    assert found.outcome == (Outcome.CONVERGED,)
    torch.testing.assert_close(found.value[0, 0], centre)


def test_anderson_needs_far_fewer_rounds_than_picard_on_a_slow_linear_problem() -> None:
    """Anderson with enough memory is GMRES: at most the dimension plus one, where Picard creeps."""
    matrix = torch.diag(torch.linspace(0.5, 0.99, 8, dtype=torch.float64))
    b = rand(8)

    def F(x: Tensor, rows: Tensor) -> Tensor:
        return x @ matrix + b

    init = torch.zeros(1, 1, 8, dtype=torch.float64)
    mixed = Anderson(tol=1e-9, memory=9, ridge=1e-15, max_rounds=1000)(F, init)
    plain = Picard(tol=1e-9, max_rounds=2000)(F, init)
    assert int(plain.rounds) > 500
    assert int(mixed.rounds) < 30
    torch.testing.assert_close(mixed.value[0, 0], torch.linalg.solve(torch.eye(8).double() - matrix, b))


def test_the_safeguard_forgets_a_history_that_made_things_worse() -> None:
    """F jumps once: mixing with what was learnt before the jump would carry its error along."""

    def jumping() -> Callable[[Tensor, Tensor], Tensor]:
        calls = count(1)
        return lambda x, rows: 0.9 * x.roll(1, -1).tanh() + 0.05 * x + (0.0 if next(calls) <= 5 else 50.0)

    rounds = {}
    for safeguard in (True, False):
        solver = Anderson(tol=1e-12, memory=8, ridge=1e-14, safeguard=safeguard, max_rounds=60)
        rounds[safeguard] = int(solver(jumping(), rand(1, 1, 6)).rounds)
    assert rounds[True] < rounds[False]


@both
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_one_element_that_blows_up_stops_in_one_round_and_alone(solver, bad) -> None:
    def F(x: Tensor, rows: Tensor) -> Tensor:
        return torch.where((rows == 1)[:, None, None], bad, torch.cos(x))

    found = solver(F, rand(3, 1, 4))
    assert found.outcome == (Outcome.CONVERGED, Outcome.NONFINITE, Outcome.CONVERGED)
    assert int(found.rounds[1]) == 1


@both
def test_an_element_does_not_depend_on_its_batch(solver) -> None:
    """Each row has its own contraction factor, so each leaves the batch in another round."""
    factor = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64)

    def F(x: Tensor, rows: Tensor) -> Tensor:
        return factor[rows, None, None] * torch.sin(x) + 1

    init = rand(3, 2, 4)
    together = solver(F, init)
    for row in range(3):
        alone = solver(lambda x, rows, row=row: F(x, rows + row), init[row : row + 1])
        torch.testing.assert_close(alone.value[0], together.value[row], rtol=0, atol=1e-12)
        assert int(alone.rounds) == int(together.rounds[row])
    assert len(set(together.rounds.tolist())) > 1


def test_residuals_are_kept_for_each_block_and_end_when_an_element_leaves() -> None:
    def F(x: Tensor, rows: Tensor) -> Tensor:
        return torch.where((rows == 0)[:, None, None], torch.ones_like(x), 0.5 * x + 0.5)

    init = torch.zeros(2, 2, 3, dtype=torch.float64)
    found = Picard(tol=1e-3)(F, init)
    assert found.rounds.tolist() == [2, 10]
    torch.testing.assert_close(found.residual[0], torch.ones(2, 2, dtype=torch.float64))
    assert bool(found.residual[2:, 0].isnan().all())


def test_a_block_that_does_not_move_has_residual_zero_even_at_the_origin() -> None:
    zero = torch.zeros(1, 1, 3)
    assert block_residual(zero, zero).item() == 0


def test_a_budget_of_no_rounds_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 round"):
        Picard(max_rounds=0)(lambda x, rows: x, rand(1, 1, 1))
