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
"""Iterations queued on an accelerator at once: a test for convergence has to wait for the device."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeastSquares:
    """The result of a solve, with one entry per image.

    Attributes:
        x: The last iterate towards the shortest of the images closest to y; nan where y is not finite.
        residual: ||A^T (y - A x)|| / ||A^T y||, 0 where A^T y is 0.
    """

    x: Float[Tensor, "B C H W"]
    residual: Float[Tensor, " B"]
    iterations: Int[Tensor, " B"]
    converged: Bool[Tensor, " B"]


def least_squares(
    A: Linear, transpose: Linear, y: Float[Tensor, "B c h w"], *, tolerance: float, max_iterations: int
) -> LeastSquares:
    """Return A^+ y by conjugate gradients on A^T A x = A^T y from x = 0 (CGLS); y need not be in the range of A.

    The first iterations find the components with large singular values, so an early stop regularises. A converged
    image stays unchanged while the others go on.

    Args:
        A, transpose: A linear map of images, the first dimension a batch, and its transpose.
        y: The measurements to be met by A x.
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
