"""The results of a restoration: images, and the statistics of each image's solve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from .hardware.memory import out_of_memory
from .operators import ConvergenceError
from .operators.composition import known_of
from .protocols import LinearOperator, Outcome
from .shapes import Float

ROUNDING: Final = 1e-5
"""Largest difference of A x to y by rounding, RMS, images in [-1, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvergenceStats:
    """Statistics of one image's solve.

    Attributes:
        outcome: Reason for its end; step by step it is `converged` unless a value was not finite.
        fallback: The rounds ran out or a guess was not finite, and the chain was finished step by step.
        window: Most states solved together: 1 step by step, T for all at once.
        rounds: Serial network passes.
        nfe: Network evaluations.
        residual_final: Largest relative residual over the states of the window in the last round with guesses; 0
            step by step, as every state is exact.
        residual_history: The same after each round with guesses.
        frontier_history: Number of leading states, exact or within the tolerance, after each round.
        data_consistency: ||A x_0 - y|| / ||y|| without the gaps of a mask; nan if x_0 is not finite or no memory was
            left for A x_0.
        tile: Side in pixels of the tiles in which the network saw the image; None: it saw the whole image.
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
    tile: int | None = None

    @property
    def converged(self) -> bool:
        return self.outcome is Outcome.CONVERGED

    @property
    def useful(self) -> float:
        """Share of evaluations whose step was kept, 0..1; 1 step by step, without guesses."""
        return self.frontier_history[-1] / self.nfe if self.nfe else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """Restored images and the statistics of their solves.

    Attributes:
        images: x_0 as it agrees with y, on y's device, shape (B, C, H, W); nan or inf if the outcome is `nonfinite`.
            It is not clamped: where y itself asks for more, values lie slightly outside [-1, 1]. Before it is stored as
            bytes, `images.clamp(-1, 1)`.
        start: The image each chain started from, before noise, shape (B, C, H, W).
        stats: One entry per image.
    """

    images: Float[Tensor, "B C H W"]
    start: Float[Tensor, "B C H W"]
    stats: tuple[ConvergenceStats, ...]


def misfit_or_nan(A: LinearOperator, x_0: Float[Tensor, "C H W"], y: Float[Tensor, "c h w"]) -> float:
    """Return ||A x_0 - y|| / ||y|| without the gaps of a mask; the size of y is at least rounding.

    The result is nan if memory or the operator fails: a restored image is not given up.
    """
    try:
        y = known_of(A, y.to(x_0)[None])[0]
        size = torch.linalg.vector_norm(y).clamp(min=ROUNDING * math.sqrt(y.numel()))
        return float(torch.linalg.vector_norm(A(x_0[None])[0] - y) / size)
    except Exception as error:
        if not concerns_images(error):
            raise
        return math.nan


def concerns_images(error: Exception) -> bool:
    """Return True if an error ends an image but no run: its operator's iteration failed, or memory ran out."""
    return isinstance(error, ConvergenceError) or out_of_memory(error)
