"""The state of one image on its way along its chain: known states, guesses, and the steps of each round."""

from __future__ import annotations

import math
from typing import Generic, TypeVar

import torch
from torch import Tensor

from deqir.fixed_point.joint_map import scan
from deqir.fixed_point.solvers import block_residual
from deqir.protocols import Bounded, Iterative, Linearization, LinearOperator, Outcome, Surrogate
from deqir.results import ConvergenceStats, concerns_images, misfit_or_nan
from deqir.sampling.last_step import within_range
from deqir.sampling.sampler import Sampler
from deqir.shapes import Float

from .chain_start import Planned
from .requests import Result

Tag = TypeVar("Tag")


class ImageState(Generic[Tag]):
    """An image under way; its states are numbered by their position along the chain.

    The state at `frontier` is known: exact, or within the tolerance. The states after it, as many as the window
    holds, are guesses. A round evaluates the network at the known state and at the guesses and carries the changes
    along the window. The next state is exact then. The frontier moves past it, and past the guesses after it which
    did not move any more (docs/algorithm.md, equations 8 to 10).

    Args:
        sampler: The chain of this image alone.
        tolerance: Residual at which a guess counts as found.
        max_rounds: Rounds before the image is finished step by step.
        alone: The image is restored step by step with nothing beside it, as memory ran out once.
        bounded: The last step stays inside [-1, 1].

    Attributes:
        frontier: Position of the last known state; T at the end.
        fallback: The rounds ran out, or a guess was not finite; the image is finished step by step.
        broken: A known state is not finite.
        still: 0 if the state of `step_to` is finite, else nan.
        seconds: The image's share of the time of its rounds.
    """

    def __init__(
        self,
        planned: Planned[Tag],
        sampler: Sampler,
        surrogate: Surrogate,
        *,
        tolerance: float,
        max_rounds: int,
        alone: bool = False,
        bounded: bool = True,
    ) -> None:
        self.planned, self.sampler, self.alone, self._bounded = planned, sampler, alone, bounded
        self.frontier, self.fallback, self.broken, self.seconds = 0, False, False, 0.0
        self._tolerance, self._max_rounds = tolerance, max_rounds
        self._jacobian: Linearization = surrogate.linearize(sampler.chain.sigma.tolist(), 1)
        self._row = torch.zeros(1, dtype=torch.long, device=sampler.start.device)
        self._window, self._rounds, self._nfe = 1, 0, 0
        self._residuals: list[float] = []
        self._frontiers: list[int] = []
        self._states: list[Tensor] = [sampler.initial()]
        self._fresh: list[Tensor] = []
        self._latest: Tensor | None = None
        self.still = sampler.start.new_zeros(1)

    @property
    def done(self) -> bool:
        return self.broken or self.frontier == self.sampler.chain.steps

    @property
    def guesses(self) -> int:
        """States held after the frontier; the last of them is compared, but not evaluated."""
        return len(self._states) - 1

    def width(self, window: int) -> int:
        """Return the number of due states in a window."""
        return 1 if self.fallback or self.alone else min(window, self.sampler.chain.steps - self.frontier)

    def due(self, window: int) -> Float[Tensor, "K C H W"]:
        """Return the states to evaluate, from the frontier on; missing guesses are made."""
        K, self._fresh = self.width(window), []  # a failed round may have left some
        self._window = max(self._window, K)
        if self._window == 1 or self.fallback:
            del self._states[1:]
            return self._states[0]
        while len(self._states) <= K:
            self._states.append(self._guess(self._states[-1], self.frontier + len(self._states) - 1))
        del self._states[K + 1 :]
        return torch.cat(self._states[:K])

    def _guess(self, state: Tensor, position: int) -> Tensor:
        """Return a guess at the state after `state`, from the latest data prediction or from the guess before any."""
        if self._latest is None:
            return self.sampler.guessed(state, position)
        return self.sampler.step(state[:, None], self._latest, position)[:, 0]

    def step_to(self, state: Float[Tensor, "1 C H W"], still: Float[Tensor, " 1"]) -> None:
        """Take the next state, for a round without guesses, and 0 if this state is finite, else nan."""
        self._fresh, self.still = [state], still

    def carry(self, eps: Float[Tensor, "K C H W"]) -> Float[Tensor, " K"]:
        """Take the predicted noise of the due states; return the residual of each next state."""
        sampler, f, K = self.sampler, self.frontier, len(eps)
        old = torch.stack(self._states[:K], 1)
        x0_hat = sampler.steps(f, K, like=old).x0_hat(old[0], eps)[None]
        new = scan(sampler, self._jacobian, f, self._row, old, x0_hat)
        self._fresh, self._latest = new, x0_hat[:, -1:]
        return block_residual(torch.stack(new, 1), torch.stack(self._states[1 : K + 1], 1))[0]

    def settle(self, moved: list[float]) -> None:
        """End the round: `moved` holds the residual of each new state, nan if the state is not finite."""
        guessed, self._rounds, self._nfe = self.guesses > 0, self._rounds + 1, self._nfe + len(moved)
        found = next((j for j, residual in enumerate(moved) if not residual <= self._tolerance), len(moved))
        step = max(1, found)
        self._states, self._fresh = self._fresh[step - 1 :], []
        self.frontier += step
        self._frontiers.append(self.frontier)
        self.broken = not math.isfinite(moved[0])
        if guessed:
            self._residuals.append(max(moved) if all(map(math.isfinite, moved)) else math.nan)
        if guessed and not self.done:
            self.fallback = self._rounds >= self._max_rounds or math.isnan(self._residuals[-1])

    def result(self) -> Result[Tag]:
        """Return the state at the frontier and the statistics of the solve."""
        sampler, x_0 = self.sampler, self._last()[0]
        outcome = Outcome.MAX_ROUNDS if self.fallback else Outcome.CONVERGED
        stats = ConvergenceStats(
            outcome=Outcome.NONFINITE if self.broken else outcome,
            fallback=self.fallback,
            window=self._window,
            rounds=self._rounds,
            nfe=self._nfe,
            residual_final=self._residuals[-1] if self._residuals else 0.0,
            residual_history=tuple(self._residuals),
            frontier_history=tuple(self._frontiers),
            data_consistency=misfit_or_nan(sampler.A, x_0, self.planned.request.y),
        )
        return self.planned.result(image=x_0, start=sampler.start[0], stats=stats, seconds=self.seconds)

    def _last(self) -> Float[Tensor, "1 C H W"]:
        """Return the state at the frontier, inside [-1, 1] and y's bounds; else clamped, if the operator fails."""
        x, sampler = self._states[0], self.sampler
        if not self._bounded or self.broken:
            return x
        try:
            if isinstance(sampler.A, Bounded):
                return sampler.A.nearest(x, self.planned.request.y[None])
            return within_range(sampler.A, x, sampler.pinv_y, exact=sampler.sigma_y is None and _is_exact(sampler.A))
        except Exception as error:
            if not concerns_images(error):
                raise
            return x.clamp(-1, 1)


def _is_exact(A: LinearOperator) -> bool:
    """True if A^+ inverts all that A lets through; a damped inverse would amplify noise that was not told."""
    return not isinstance(A, Iterative) and getattr(A, "threshold", 0.0) == 0
