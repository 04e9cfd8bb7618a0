"""Solvers of x = F(x) for batches; each element converges, stalls or blows up by itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deqir.hardware.devices import sent
from deqir.protocols import FixedPoint, FixedPointMap, Outcome
from deqir.shapes import Bool, Float, Int

Mix = Callable[[Float[Tensor, "b K ..."], Float[Tensor, "b K ..."], Int[Tensor, " b"]], Float[Tensor, "b K ..."]]
"""Next x of the elements `rows`, from (x, F(x), rows)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picard:
    """x <- F(x). With a `JointMap` and the exact Jacobian this is Newton's method.

    Attributes:
        tol: Largest relative residual of any block at which an element has converged.
        max_rounds: Calls of F before an element is given up.
    """

    tol: float = 1e-3
    max_rounds: int = 100

    def __call__(self, F: FixedPointMap, init: Float[Tensor, "B K ..."], /) -> FixedPoint:
        return _iterate(F, init, tol=self.tol, max_rounds=self.max_rounds, mix=lambda x, new, rows: new)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anderson:
    """Anderson mixing over the last `memory` rounds, with weights of its own for each element.

    The next x (14) is sum_i w_i F(x_i), where w minimises ||sum_i w_i (F(x_i) - x_i)||^2 subject to sum_i w_i = 1.
    Safeguarded: where the residual rose, the element forgets its history and takes the plain step.
    If it does not converge: raise `ridge` when the residual jumps about, `memory` when it creeps.

    Attributes:
        tol: Largest relative residual of any block at which an element has converged.
        max_rounds: Calls of F before an element is given up.
        memory: Rounds mixed, m in the literature.
        ridge: Added to the Gram matrix's diagonal, relative to its mean diagonal, so it has no unit.
        safeguard: False mixes on regardless, as published.

    References:
        Walker and Ni (2011), https://doi.org/10.1137/10078356X
    """

    tol: float = 1e-3
    max_rounds: int = 100
    memory: int = 5
    ridge: float = 1e-6
    safeguard: bool = True

    def __call__(self, F: FixedPointMap, init: Float[Tensor, "B K ..."], /) -> FixedPoint:
        return _iterate(F, init, tol=self.tol, max_rounds=self.max_rounds, mix=_Mixer(self, init))


class _Mixer:
    """The rolling history of every element; slot `round % memory` holds the newest."""

    def __init__(self, anderson: Anderson, init: Tensor) -> None:
        B, m = len(init), anderson.memory
        self._anderson = anderson
        self._round = 0
        self._images = init.new_zeros(B, m, init[0].numel())
        self._gaps = torch.zeros_like(self._images)
        self._held = torch.zeros(B, m, dtype=torch.bool, device=init.device)
        self._last = init.new_full((B,), float("inf"))

    def __call__(self, x: Tensor, new: Tensor, rows: Tensor, /) -> Tensor:
        slot, gap = self._round % self._anderson.memory, (new - x).flatten(1)
        self._round += 1
        size = torch.linalg.vector_norm(gap, dim=1)
        if self._anderson.safeguard:
            self._held[rows] = self._held[rows] & ~(size > self._last[rows])[:, None]
        self._last[rows] = size
        self._images[rows, slot], self._gaps[rows, slot] = new.flatten(1), gap
        self._held[:, slot].index_fill_(0, rows, True)  # a number given to [rows, slot] would be sent first
        weights = self._weights(self._gaps[rows], self._held[rows])
        return torch.einsum("bm,bmd->bd", weights, self._images[rows]).view_as(new)

    def _weights(self, gaps: Float[Tensor, "b m D"], held: Bool[Tensor, "b m"]) -> Float[Tensor, "b m"]:
        gaps = gaps * held[..., None]
        gram = (gaps @ gaps.mT).to(torch.promote_types(gaps.dtype, torch.float32))  # half precision has no solver
        diagonal = gram.diagonal(dim1=1, dim2=2)
        scale = (diagonal.sum(1) / held.sum(1)).clamp(min=torch.finfo(gram.dtype).tiny)
        empty = (~held).to(gram)  # an empty slot gets a one on the diagonal and no share of the weights
        gram = gram / scale[:, None, None] + torch.diag_embed(self._anderson.ridge + empty)
        # without a check, which would wait for the device: a singular matrix gives values that are not finite
        weights: Tensor = torch.linalg.solve_ex(gram, held.to(gram)[..., None]).result[..., 0]
        return (weights / weights.sum(1, keepdim=True)).to(gaps)


def _iterate(F: FixedPointMap, init: Tensor, *, tol: float, max_rounds: int, mix: Mix) -> FixedPoint:
    """Iterate until every element has converged, broken or had its rounds; finished elements leave the batch.

    A round waits for the device once, for the residuals.
    """
    if max_rounds < 1:
        raise ValueError(f"a solver needs at least 1 round, got max_rounds={max_rounds}")
    B, K = init.shape[:2]
    value = init.clone()
    history = list[Tensor]()
    rounds, outcome, places = [0] * B, [Outcome.MAX_ROUNDS] * B, list(range(B))
    rows, x = torch.arange(B, device=init.device), init
    for _ in range(max_rounds):
        new = F(x, rows)
        value[rows] = new
        block = block_residual(new, x)
        history.append(init.new_full((B, K), float("nan")).index_copy_(0, rows, block))
        stays = list[int]()
        worst: list[float] = block.amax(1).tolist()  # nan and inf pass through amax
        for n, (place, residual) in enumerate(zip(places, worst, strict=True)):
            rounds[place] += 1
            if residual <= tol:
                outcome[place] = Outcome.CONVERGED
            elif not math.isfinite(residual):
                outcome[place] = Outcome.NONFINITE
            else:
                stays.append(n)
        if not stays:
            break
        if len(stays) < len(places):
            kept, places = sent(torch.tensor(stays), init.device), [places[n] for n in stays]
            x, new, rows = x[kept], new[kept], rows[kept]
        x = mix(x, new, rows)
    residuals = torch.stack(history)
    return FixedPoint(value=value, residual=residuals, rounds=torch.tensor(rounds), outcome=tuple(outcome))


def block_residual(new: Float[Tensor, "b K ..."], old: Float[Tensor, "b K ..."]) -> Float[Tensor, "b K"]:
    """Return ||new_k - old_k|| / ||new_k|| of each block k (15), Euclidean norms; nan where new is not finite."""
    gap = torch.linalg.vector_norm((new - old).flatten(2), dim=2)
    size = torch.linalg.vector_norm(new.flatten(2), dim=2)
    return torch.where(gap == 0, gap, gap / size.clamp(min=torch.finfo(size.dtype).tiny))
