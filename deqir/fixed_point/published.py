"""The published algorithm, for comparison: all states of one image at once, Anderson on the eps form."""

from __future__ import annotations

from typing import Final

from torch import Tensor

from deqir.protocols import Outcome
from deqir.results import ConvergenceStats, misfit_or_nan
from deqir.sampling.sampler import Sampler
from deqir.shapes import Float

from .joint_map import JointMap
from .solvers import Anderson
from .surrogates import FrozenEps

ROUNDS: Final = 15


def published(
    sampler: Sampler, *, y: Float[Tensor, "c h w"], tolerance: float
) -> tuple[Float[Tensor, "C H W"], ConvergenceStats]:
    """Return x_0 of one image after 15 rounds (fewer if T is less), and the statistics of the solve.

    Args:
        tolerance: Residual at which a state counts as found, in the statistics; rounds do not depend on it.

    References:
        DeqIR (Cao et al., 2024), https://arxiv.org/abs/2311.11600, algorithm 1
    """
    T = sampler.chain.steps
    solver = Anderson(tol=0, max_rounds=min(ROUNDS, T), memory=5, ridge=1e-3, safeguard=False)
    found = solver(JointMap(sampler, FrozenEps()), sampler.frozen())
    x_0, rounds = found.value[0, -1], int(found.rounds[0])
    outcome = found.outcome[0]
    if outcome is Outcome.MAX_ROUNDS and rounds == T:
        outcome = Outcome.CONVERGED  # T rounds make every state exact
    within = (found.residual[:rounds, 0] <= tolerance).long().cumprod(1).sum(1).tolist()
    residuals = tuple(found.residual[:rounds, 0].amax(1).tolist())
    stats = ConvergenceStats(
        outcome=outcome,
        fallback=False,
        window=T,
        rounds=rounds,
        nfe=sum(T - k for k in range(rounds)),
        residual_final=residuals[-1],
        residual_history=residuals,
        frontier_history=tuple(max(leading, exact) for exact, leading in enumerate(within, 1)),
        data_consistency=misfit_or_nan(sampler.A, x_0, y),
    )
    return x_0, stats
