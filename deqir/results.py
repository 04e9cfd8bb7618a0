"""What a restoration returns: images, and how each one's solve went."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .protocols import Outcome
from .shapes import Float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvergenceStats:
    """How one image's solve went.

    Attributes:
        outcome: Why it stopped; step by step it is `converged` unless a value was not finite.
        fallback: The parallel solve ran out of rounds and the chain was finished step by step.
        window: States solved together: 1 step by step, T for all at once.
        rounds: Serial network passes.
        nfe: Network evaluations.
        residual_final: Largest relative residual over the states in the last parallel round; 0 step by step,
            where every state is exact.
        residual_history: The same after each parallel round.
        frontier_history: Leading states that were exact or within the tolerance after each round.
        data_consistency: ||A x_0 - y|| / ||y||.
    """

    outcome: Outcome
    fallback: bool
    window: int
    rounds: int
    nfe: int
    residual_final: float
    residual_history: tuple[float, ...]
    frontier_history: tuple[int, ...]
    data_consistency: float

    @property
    def converged(self) -> bool:
        return self.outcome is Outcome.CONVERGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """Restored images and the numbers that say how far to trust them.

    Attributes:
        images: x_0 in [-1, 1] up to sampling error, on y's device, shape (B, C, H, W); nan or inf where the
            outcome is `nonfinite`.
        start: The image each chain started from, before noise, shape (B, C, H, W).
        stats: One entry per image.
    """

    images: Float[Tensor, "B C H W"]
    start: Float[Tensor, "B C H W"]
    stats: tuple[ConvergenceStats, ...]
