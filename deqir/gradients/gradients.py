"""Gradients of a loss of the restored image with respect to the noise of its chain.

The states of the chain are known beforehand, from any solve, so nothing has to be kept from it: every function
here evaluates the network again, one micro-batch of `Sampler.denoiser_batch` states at a time, and keeps no graph
between two of them. Memory grows with T by the states alone. All may be called under `torch.inference_mode`.

Each gradient is of a chain (`sampler`) through given states x_0..x_T (`states`), and as exact as they are; `end` is
dL/dx_T.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar, cast

import torch
from torch import Tensor

from deqir.fixed_point.solvers import Picard
from deqir.fixed_point.surrogates import Secant, Wiener
from deqir.protocols import FixedPointSolver, Outcome, Surrogate
from deqir.sampling.sampler import Sampler
from deqir.shapes import Float

from .adjoint_map import AdjointMap, pull

VJP_COST: Final = 2
"""Cost of a vector-Jacobian product in network evaluations, besides the evaluation itself."""
STAND_IN: Final[Surrogate] = Secant(wiener=Wiener(kappa=1.0))
"""The default surrogate; its Wiener gains come from the restored image, which is cleaner than predictions."""

SOLVER: Final[FixedPointSolver] = Picard(tol=1e-2)
"""The default solver; a tolerance of a hundredth is finer than descending needs."""

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gradient:
    """The gradient of each image of a batch, and its cost.

    Attributes:
        state: dL/dx_0, with respect to the state at position 0, shape (B, C, H, W).
        noise: dL/d(the start's noise, z_0, ..., z_{T-1}), laid out as `Sampler.noise`, (B, T + 1, C, H, W).
        rounds: Serial passes through the network and back, of each image.
        evaluations: Network evaluations of each image, each with a vector-Jacobian product.
        outcome: Why each image's solve stopped; `max_rounds` is a truncated gradient.
        adjoints: a_{T-1}, ..., a_0, the gradient with respect to each state, in the order of `AdjointMap`; a later
            solve may begin with them. Shape (B, T, C, H, W); None after `exact_adjoint`, which keeps one at a time.
    """

    state: Float[Tensor, "B C H W"]
    noise: Float[Tensor, "B positions C H W"]
    rounds: tuple[int, ...]
    evaluations: tuple[int, ...]
    outcome: tuple[Outcome, ...]
    adjoints: Float[Tensor, "B T C H W"] | None = None

    @property
    def nfe(self) -> tuple[int, ...]:
        """Cost of each image in network evaluations, a vector-Jacobian product counted as `VJP_COST` more."""
        return tuple((1 + VJP_COST) * count for count in self.evaluations)


@contextmanager
def outside_inference() -> Iterator[None]:
    """Run a function where graphs can be built on demand, also if its caller is in inference mode."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def normal(thing: Thing) -> Thing:
    """Return a tensor, or a dataclass of tensors, for autograd: tensors of inference mode are copied."""
    if isinstance(thing, Tensor):
        return cast(Thing, thing.clone() if thing.is_inference() else thing)
    if not dataclasses.is_dataclass(thing) or isinstance(thing, type):
        return thing
    before = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing) if field.init}
    after: dict[str, Any] = {name: normal(value) for name, value in before.items()}
    changed = any(after[name] is not before[name] for name in before)
    return replace(thing, **after) if changed else thing


@outside_inference()
def chain_states(sampler: Sampler) -> Float[Tensor, "B positions C H W"]:
    """Return the states x_0..x_T of the chain, step by step and without a graph."""
    sampler = normal(sampler)
    first = sampler.initial()
    return torch.stack([first, *sampler.sequential(first)], 1)


@outside_inference()
def exact_adjoint(
    sampler: Sampler, states: Float[Tensor, "B positions C H W"], end: Float[Tensor, "B C H W"]
) -> Gradient:
    """Return the gradient through the chain by T vector-Jacobian products one after another (30).

    a_T = dL/dx_T, a_i = (dx_{i+1}/dx_i)^T a_{i+1}, dL/dz_i = (dx_{i+1}/dz_i)^T a_{i+1}
    """
    sampler, states, end = normal(sampler), normal(states), normal(end)
    T, noise, adjoint = sampler.chain.steps, torch.empty_like(sampler.noise), end
    for i in reversed(range(T)):
        noise[:, i + 1] = _fresh_noise(sampler, adjoint, i)
        adjoint = pull(sampler, states[:, i : i + 1], adjoint[:, None], i).adjoint[:, 0]
    noise[:, 0] = _start_noise(sampler, adjoint)
    each = (T,) * len(end)
    return Gradient(state=adjoint, noise=noise, rounds=each, evaluations=each, outcome=(Outcome.CONVERGED,) * len(end))


@outside_inference()
def parallel_adjoint(
    sampler: Sampler,
    states: Float[Tensor, "B positions C H W"],
    end: Float[Tensor, "B C H W"],
    *,
    surrogate: Surrogate = STAND_IN,
    solver: FixedPointSolver = SOLVER,
    init: Float[Tensor, "B T C H W"] | None = None,
) -> Gradient:
    """Return the gradient through the chain from all its vector-Jacobian products at once, round by round (32).

    Exact after T rounds, within the solver's tolerance usually after few; `Anderson` is a solver too. Besides a
    micro-batch's graph it holds a few images a state, `Secant` about 35 more and `Wiener` none.

    Args:
        surrogate: Stand-in for the Jacobian of the data prediction, transposed.
        solver: Finds the fixed point; its tolerance is relative to each adjoint's size.
        init: Adjoints to begin with, such as a similar chain's; None: the adjoints of the surrogate alone.
    """
    sampler, end = normal(sampler), normal(end)
    F = AdjointMap(sampler, normal(states), end, surrogate)
    found = solver(F, F.start if init is None else normal(init))
    T, rounds = sampler.chain.steps, found.rounds.tolist()
    outcome = [
        Outcome.CONVERGED if reason is Outcome.MAX_ROUNDS and done >= T else reason
        for reason, done in zip(found.outcome, rounds, strict=True)
    ]
    return _from_adjoints(sampler, end, found.value, rounds, outcome)


@outside_inference()
def phantom_gradient(
    sampler: Sampler,
    states: Float[Tensor, "B positions C H W"],
    end: Float[Tensor, "B C H W"],
    *,
    surrogate: Surrogate = STAND_IN,
    rounds: int = 0,
) -> Gradient:
    """Return a cheap approximation of the gradient: (32) cut off after so many rounds (33).

    With 0 rounds the network is not called at all: the adjoint passes back through steps whose denoiser is the
    surrogate. Its direction is roughly right, enough to descend.

    Args:
        surrogate: Stand-in for the Jacobian of the data prediction, transposed.
        rounds: Rounds before the solve is cut off, 0..T.

    Raises:
        ValueError: `rounds` is negative.
    """
    if rounds < 0:
        raise ValueError(f"a phantom gradient takes 0 rounds or more, got {rounds}")
    if rounds:
        return parallel_adjoint(sampler, states, end, surrogate=surrogate, solver=Picard(tol=0, max_rounds=rounds))
    sampler, end, B = normal(sampler), normal(end), len(end)
    F = AdjointMap(sampler, normal(states), end, surrogate)
    return _from_adjoints(sampler, end, F.start, [0] * B, [Outcome.MAX_ROUNDS] * B)


def _from_adjoints(
    sampler: Sampler, end: Tensor, adjoints: Tensor, rounds: list[int], outcome: list[Outcome]
) -> Gradient:
    """Return the gradient of adjoints a_{T-1}..a_0, found in so many rounds."""
    T, noise = sampler.chain.steps, torch.empty_like(sampler.noise)
    noise[:, T] = _fresh_noise(sampler, end, T - 1)
    for k in range(T - 1):
        noise[:, T - 1 - k] = _fresh_noise(sampler, adjoints[:, k], T - 2 - k)
    noise[:, 0] = _start_noise(sampler, adjoints[:, -1])
    return Gradient(
        state=adjoints[:, -1],
        noise=noise,
        adjoints=adjoints,
        rounds=tuple(rounds),
        evaluations=tuple(sum(max(0, T - k) for k in range(done)) for done in rounds),
        outcome=tuple(outcome),
    )


def _fresh_noise(sampler: Sampler, adjoint: Tensor, i: int) -> Tensor:
    """Return dL/dz_i from the adjoint a_{i+1}: the map of z_i in a step is its own transpose."""
    zero = torch.zeros_like(adjoint)
    return sampler.steps(i, 1, like=adjoint)(zero, zero, pinv_y=zero, z=adjoint)


def _start_noise(sampler: Sampler, adjoint: Tensor) -> Tensor:
    """Return the gradient of the start's noise from the adjoint a_0: its map to x_0 is its own transpose."""
    return replace(sampler, start=torch.zeros_like(adjoint), noise=adjoint[:, None]).initial()
