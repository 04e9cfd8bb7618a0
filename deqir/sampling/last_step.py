"""The last step of a chain inside [-1, 1]: pixels are clamped, and their neighbours make up for it.

A restored image is written in [-1, 1]. Clamping alone changes A x: a text's white ground overshoots, and the mean of a
clamped block is too dark.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from deqir.protocols import LinearOperator
from deqir.shapes import Float

ROUNDS: Final = 4
"""Most corrections, each of two applications of A and two of A^+. Means of blocks are met after one to three."""
CLOSE: Final = 0.25 * 2 / 255
"""Difference of A x to the data that may stay: a quarter of a grey level of 8 bits."""
MOST: Final = 64.0
"""Largest factor of a correction: a single free pixel in a block of 8 x 8 makes up for all others."""


def within_range(
    A: LinearOperator, x: Float[Tensor, "1 C H W"], pinv_y: Float[Tensor, "1 C H W"], *, exact: bool
) -> Float[Tensor, "1 C H W"]:
    """Return x clamped to [-1, 1] and, if the data are exact, corrected inside this range towards A x = A A^+ y.

    For means of blocks, masks and grey images no pixel belongs to two values of y. There the result is the projection
    of the clamped x onto {A x = y} inside the range, if this set is not empty. Both sets hold the original, so the
    result is never further from it than the clamped x. For other operators a correction may miss; plain alternating
    projections between both sets follow then. The iterate of the least residual is returned.

    Args:
        x: Last state of a chain. If it lies in [-1, 1], nothing is computed.
        pinv_y: A^+ y.
        exact: The data have no noise. Noisy data need not be met, and x is clamped only.
    """
    best = x.clamp(-1, 1)
    if not exact or torch.equal(best, x):
        return best
    goal, most = A(pinv_y), MOST
    least = goal - A(best)
    for _ in range(ROUNDS):
        if float(least.abs().max()) <= CLOSE:
            break
        corrected = _corrected(A, best, least, most)
        residual = goal - A(corrected)
        if bool(residual.square().sum() < least.square().sum()):
            best, least = corrected, residual
        elif most > 1:
            most = 1.0
        else:
            break
    return best


def _corrected(A: LinearOperator, x: Tensor, residual: Tensor, most: float) -> Tensor:
    """Return x with A^+ of the residual added where x stays inside the range.

    Each value of the residual is first divided by the share of it that these pixels bring, at most multiplied by
    `most`; 1 makes it a step of alternating projections.
    """
    step = A.pinv(residual)
    free = torch.where(step > 0, x < 1, x > -1)
    if most > 1:
        brought = A(torch.where(free, step, 0.0))
        factor = torch.where(brought.abs() * most > residual.abs(), residual / brought, most)
        step = A.pinv(residual * factor.clamp(1, most))
    return torch.where(free, x + step, x).clamp(-1, 1)
