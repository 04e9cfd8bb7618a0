"""Least squares by conjugate gradients, one problem an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from deqir.shapes import Bool, Float, Int

Linear = Callable[[Tensor], Tensor]

TOGETHER: Final = 8
"""Iterations that an accelerator is given at once: whether all have converged is known after waiting for it only."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeastSquares:
    """The end of a solve, one entry per image.

    Attributes:
        x: The shortest of the images that come closest to y, as far as they were reached; nan where y is not finite.
        residual: ||A^T (y - A x)|| / ||A^T y||, 0 where A^T y is 0.
        iterations: That each image took part in.
        converged: Whether the residual came down to the tolerance.
    """

    x: Float[Tensor, "B C H W"]
    residual: Float[Tensor, " B"]
    iterations: Int[Tensor, " B"]
    converged: Bool[Tensor, " B"]


def least_squares(
    A: Linear, transpose: Linear, y: Float[Tensor, "B c h w"], *, tolerance: float, max_iterations: int
) -> LeastSquares:
    """Return A^+ y by conjugate gradients on A^T A x = A^T y from x = 0 (CGLS), which needs y in no particular range.

    Few iterations find what large singular values carry, so that to stop early is to regularise. An image that has
    converged stands still while the others go on.

    Args:
        A: A linear map of images, the first dimension a batch.
        transpose: Its transpose.
        y: What A should give.
        tolerance: Of the residual.
        max_iterations: Most iterations of any image.
    """
    tiny = torch.finfo(y.dtype).tiny
    rest, gradient = y, transpose(y)
    x, direction = torch.zeros_like(gradient), gradient
    energy = _energy(gradient)
    first, iterations = energy, torch.zeros(len(y), dtype=torch.int64, device=y.device)
    together = 1 if y.device.type == "cpu" else TOGETHER
    for iteration in range(max_iterations):
        active = energy > tolerance**2 * first
        if iteration % together == 0 and not bool(active.any()):
            break
        seen = A(direction)
        step = _column(torch.where(active, energy / _energy(seen).clamp(min=tiny), 0.0), x)
        x, rest = x + step * direction, rest - step * seen
        gradient = torch.where(_column(active, x), transpose(rest), gradient)
        before, energy = energy, _energy(gradient)
        direction = gradient + _column(torch.where(active, energy / before.clamp(min=tiny), 0.0), x) * direction
        iterations += active
    x = torch.where(_column(energy.isfinite(), x), x, torch.nan)
    residual = (energy / first.clamp(min=tiny)).sqrt()
    return LeastSquares(x=x, residual=residual, iterations=iterations, converged=energy <= tolerance**2 * first)


def _energy(v: Float[Tensor, "B ..."]) -> Float[Tensor, " B"]:
    return v.flatten(1).square().sum(1)


def _column(values: Float[Tensor, " B"] | Bool[Tensor, " B"], like: Tensor) -> Tensor:
    return values.view(-1, *(1,) * (like.ndim - 1))
