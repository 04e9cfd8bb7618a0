"""Optimisation of a chain's noise, so that the restored image also has a small loss.

Every iterate is a whole restoration: it explains y like any other, and its noise keeps its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from deqir.fixed_point.joint_map import JointMap
from deqir.fixed_point.solvers import Picard
from deqir.hardware.devices import sent
from deqir.sampling.sampler import Sampler
from deqir.shapes import Float

from .gradients import (
    STAND_IN,
    Gradient,
    chain_states,
    exact_adjoint,
    normal,
    outside_inference,
    parallel_adjoint,
    phantom_gradient,
)
from .losses import Loss
from .noise_search import Candidate, Optimisation, OptimisationStats, Stop

__all__ = ["Optimisation", "OptimisationStats", "Optimised", "Stop", "optimise"]

DEFAULT: Final = Optimisation()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Optimised:
    """The best iterate of each image.

    Attributes:
        images: x_T of the best iterate, in [-1, 1] up to sampling error, shape (B, C, H, W).
        noise: The noise of `images`; a chain with it gives them again, shape (B, T + 1, C, H, W).
        first: x_T of the given noise.
        stats: One entry per image.
    """

    images: Float[Tensor, "B C H W"]
    noise: Float[Tensor, "B positions C H W"]
    first: Float[Tensor, "B C H W"]
    stats: tuple[OptimisationStats, ...]


@outside_inference()
def optimise(sampler: Sampler, loss: Loss, *, settings: Optimisation = DEFAULT) -> Optimised:
    """Return, for each image, the restoration of least loss that Adam finds by changing the noise (34).

    The noise of each position keeps its Euclidean norm, which in so many dimensions makes it plausible to a denoiser.
    Images are searched for independently and leave the batch when they end. The iterate of least loss is kept, so no
    result is worse than the first iterate. A search ends early for an image whose loss or gradient is
    not finite; it too keeps its best iterate.

    Args:
        sampler: The chains, with their first noise. May come from inference mode.
        loss: Loss of each image, never a distance to the original: it would measure nothing but itself.
    """
    sampler, loss = normal(sampler), normal(loss)
    candidates, device = [Candidate(noise, settings) for noise in sampler.noise], sampler.start.device
    chains, places = _Chains(settings), list(range(len(candidates)))
    while places:
        here, rows = [candidates[place] for place in places], sent(torch.tensor(places), device)
        some = replace(sampler.take(rows), noise=torch.stack([candidate.noise for candidate in here]))
        states, spent = chains.solve(some, places)
        values, end = _value(loss, states[:, -1], rows)
        seen = zip(here, states[:, -1], values.tolist(), spent, strict=True)
        stays = [candidate.see(image, value, evaluations) for candidate, image, value, evaluations in seen]
        kept = [n for n, stay in enumerate(stays) if stay]
        if not kept:
            break
        places, here, left = [places[n] for n in kept], [here[n] for n in kept], sent(torch.tensor(kept), device)
        gradient = chains.gradient(some.take(left), states[left], end[left], places)
        slopes = zip(here, gradient.noise, strict=True)
        sizes = torch.stack([candidate.slope(noise) for candidate, noise in slopes]).tolist()
        moves = zip(places, here, gradient.noise, sizes, gradient.evaluations, strict=True)
        places = [
            place for place, candidate, noise, size, spent in moves if candidate.descend(noise, size, evaluations=spent)
        ]
    return Optimised(
        images=torch.stack([candidate.image for candidate in candidates]),
        noise=torch.stack([candidate.best_noise for candidate in candidates]),
        first=torch.stack([candidate.first for candidate in candidates]),
        stats=tuple(candidate.stats() for candidate in candidates),
    )


class _Chains:
    """Solves chains and their adjoints: step by step, or in parallel and then from the iterate before.

    Images are known by their places in the first batch of the search.
    """

    def __init__(self, settings: Optimisation) -> None:
        self._settings = settings
        self._states = dict[int, Tensor]()
        self._adjoints = dict[int, Tensor]()

    def solve(
        self, sampler: Sampler, places: Sequence[int]
    ) -> tuple[Float[Tensor, "b positions C H W"], tuple[int, ...]]:
        """Return x_0..x_T of each image and their network evaluations."""
        T = sampler.chain.steps
        if self._settings.gradient != "parallel":
            return chain_states(sampler), (T,) * len(places)
        F, before = JointMap(sampler, STAND_IN), _of(self._states, places)
        solver = Picard(tol=self._settings.tolerance, max_rounds=T)
        found = solver(F, sampler.frozen() if before is None else before)
        self._states |= zip(places, found.value, strict=True)
        evaluations = tuple(sum(T - k for k in range(rounds)) for rounds in found.rounds.tolist())
        return torch.cat([sampler.initial()[:, None], found.value], 1), evaluations

    def gradient(self, sampler: Sampler, states: Tensor, end: Tensor, places: Sequence[int]) -> Gradient:
        """Return the gradient of each image's loss."""
        settings = self._settings
        if settings.gradient == "exact":
            return exact_adjoint(sampler, states, end)
        if settings.gradient == "phantom":
            return phantom_gradient(sampler, states, end, rounds=settings.rounds)
        solver = Picard(tol=settings.tolerance, max_rounds=sampler.chain.steps)
        found = parallel_adjoint(sampler, states, end, solver=solver, init=_of(self._adjoints, places))
        if found.adjoints is not None:
            self._adjoints |= zip(places, found.adjoints, strict=True)
        return found


def _of(known: dict[int, Tensor], places: Sequence[int]) -> Tensor | None:
    return torch.stack([known[place] for place in places]) if known else None


def _value(loss: Loss, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return each image's loss and its gradient with respect to the image."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        values = loss(x, rows)
    if values.shape != (len(x),):
        raise ValueError(f"a loss must return one value per image, ({len(x)},), got shape {tuple(values.shape)}")
    (end,) = torch.autograd.grad([values], [x], [torch.ones_like(values)])
    return values.detach(), end
