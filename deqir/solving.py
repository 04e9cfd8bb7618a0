"""The two ways to solve a chain: one step after another, or all steps at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .protocols import FixedPoint, FixedPointSolver, Outcome, Surrogate
from .results import ConvergenceStats
from .trajectory import JointMap, Sampler


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """x_0 of a batch with what only the way of solving knows; one entry per image, as in `ConvergenceStats`."""

    x_0: Tensor
    outcome: Sequence[Outcome]
    fallback: Sequence[bool]
    rounds: Sequence[int]
    nfe: Sequence[int]
    residual: Sequence[tuple[float, ...]]
    frontier: Sequence[tuple[int, ...]]

    def stats(self, window: int, data_consistency: Sequence[float]) -> tuple[ConvergenceStats, ...]:
        """Return the statistics of each image."""
        return tuple(
            ConvergenceStats(
                outcome=self.outcome[b],
                fallback=self.fallback[b],
                window=window,
                rounds=self.rounds[b],
                nfe=self.nfe[b],
                residual_final=self.residual[b][-1] if self.residual[b] else 0.0,
                residual_history=self.residual[b],
                frontier_history=self.frontier[b],
                data_consistency=consistency,
            )
            for b, consistency in enumerate(data_consistency)
        )


def one_by_one(sampler: Sampler) -> Solved:
    """Return the end of the sequential chain."""
    T, B = sampler.chain.steps, len(sampler.start)
    x = sampler.end(sampler.initial())
    return Solved(
        x_0=x,
        outcome=[Outcome.CONVERGED if ok else Outcome.NONFINITE for ok in _finite(x)],
        fallback=[False] * B,
        rounds=[T] * B,
        nfe=[T] * B,
        residual=[()] * B,
        frontier=[tuple(range(1, T + 1))] * B,
    )


def all_at_once(
    sampler: Sampler, surrogate: Surrogate, solver: FixedPointSolver, *, tolerance: float, finish: bool
) -> Solved:
    """Return the end of the joint map's fixed point.

    Args:
        sampler: The chain.
        surrogate: Stand-in for the Jacobian of its data prediction.
        solver: Takes at most T rounds.
        tolerance: Relative residual at which a state counts as found.
        finish: Images that run out of rounds go on from their last exact state, one step after another.
    """
    T = sampler.chain.steps
    F = JointMap(sampler, surrogate)
    found = solver(F, sampler.frozen())
    x_0, rounds = found.value[:, -1].clone(), found.rounds.tolist()
    nfe = [sum(T - k for k in range(r)) for r in rounds]
    outcome = list(found.outcome)
    for b, r in enumerate(rounds):
        if outcome[b] is Outcome.MAX_ROUNDS and r == T:
            outcome[b] = Outcome.CONVERGED  # T rounds make every state exact
    late = [b for b, why in enumerate(outcome) if finish and why is Outcome.MAX_ROUNDS]
    if late:
        rows, left = torch.tensor(late, device=x_0.device), T - F.calls
        x_0[rows] = sampler.take(rows).end(F.exact_state()[rows], F.calls)
        for b, ok in zip(late, _finite(x_0[rows]), strict=True):
            rounds[b], nfe[b] = rounds[b] + left, nfe[b] + left
            outcome[b] = Outcome.MAX_ROUNDS if ok else Outcome.NONFINITE
    residual, frontier = _histories(found, tolerance)
    return Solved(
        x_0=x_0,
        outcome=outcome,
        fallback=[b in late for b in range(len(outcome))],
        rounds=rounds,
        nfe=nfe,
        residual=residual,
        frontier=frontier,
    )


def _finite(x: Tensor) -> list[bool]:
    """Of each image: whether all its values are finite."""
    return [bool(ok) for ok in torch.isfinite(x).flatten(1).all(1)]


def _histories(found: FixedPoint, tol: float) -> tuple[list[tuple[float, ...]], list[tuple[int, ...]]]:
    """Per image and round: the largest residual, and how many leading states are within tol or exact."""
    worst, within = found.residual.amax(2), found.residual <= tol
    leading = within.long().cumprod(2).sum(2)
    exact = torch.arange(1, len(leading) + 1, device=leading.device)[:, None]
    leading = torch.maximum(leading, exact)
    residual, frontier = list[tuple[float, ...]](), list[tuple[int, ...]]()
    for b, rounds in enumerate(found.rounds.tolist()):
        residual.append(tuple(worst[:rounds, b].tolist()))
        frontier.append(tuple(leading[:rounds, b].tolist()))
    return residual, frontier
