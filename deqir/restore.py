"""The front door: degraded images in, restored images and the statistics of their convergence out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

from .chain import Chain
from .noise import chain_noise, image_seed
from .priors.prior import Prior
from .protocols import Denoiser, FixedPoint, FixedPointSolver, LinearOperator, Outcome, Surrogate
from .shapes import Float
from .solvers import Anderson, Picard
from .surrogates import FrozenData, FrozenEps, Secant, Wiener
from .trajectory import JointMap, Sampler

Mode = Literal["auto", "throughput", "latency", "paper"]
SurrogateName = Literal["eps", "data", "wiener", "secant"]
SURROGATES: Final[dict[SurrogateName, Surrogate]] = {
    "eps": FrozenEps(),
    "data": FrozenData(),
    "wiener": Wiener(),
    "secant": Secant(),
}
PAPER_ROUNDS: Final = 15


class Defaults:
    """Settings chosen from docs/convergence.md."""

    STEPS: Final = 20
    ETA: Final = 0.95
    END_NOISE: Final = 6 / 255
    TOLERANCE: Final = 5e-3


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Solved:
    """x_0 of a batch with what only the way of solving knows."""

    x_0: Tensor
    outcome: Sequence[Outcome]
    fallback: Sequence[bool]
    rounds: Sequence[int]
    nfe: Sequence[int]
    residual: Sequence[tuple[float, ...]]
    frontier: Sequence[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Restorer:
    """Restores y = A x with one prior and one set of settings; holds no state between calls.

    Attributes:
        prior: A `Prior`, or any `Denoiser`.
        steps: Sampling steps T.
        eta: Share of fresh noise in each step, 0..1.
        start_noise: Noise of the start, as a standard deviation of images in [0, 1]; None: the operator's.
        end_noise: Noise of the last step, in the same unit.
        mode: throughput: one step after another, batched over images. latency: all steps at once through
            `surrogate`. paper: the published algorithm (eps form, Anderson m = 5, ridge 1e-3, 15 rounds), for
            comparison. auto: latency for a single image on an accelerator, which one image leaves idle,
            else throughput; on a CPU evaluations done at once take as long as one after another.
        surrogate: Stand-in for the Jacobian in latency mode.
        tolerance: Relative residual at which a parallel solve stops.
        max_rounds: Parallel rounds before an image is finished step by step; None: T.
        device: Where the chain's arithmetic runs; None: where the prior is.
        denoiser_batch: Most images x steps in one network call.

    Raises:
        ValueError: A setting is out of range, or the prior does not know noise as strong as the start's.
    """

    prior: Prior | Denoiser
    steps: int = Defaults.STEPS
    eta: float = Defaults.ETA
    start_noise: float | None = None
    end_noise: float = Defaults.END_NOISE
    mode: Mode = "auto"
    surrogate: SurrogateName = "secant"
    tolerance: float = Defaults.TOLERANCE
    max_rounds: int | None = None
    device: torch.device | None = None
    denoiser_batch: int = 16

    @torch.inference_mode()
    def __call__(
        self, y: Float[Tensor, "B c h w"], operator: LinearOperator, *, seed: int = 0, seeds: Sequence[int] = ()
    ) -> Restoration:
        """Restore a batch of images of one size.

        Args:
            y: Degraded images in [-1, 1].
            operator: The degradation that made them.
            seed: Seeds each image's noise together with the image's own content, so that a result does not
                depend on its place in a batch.
            seeds: One seed per image, instead of `seed`.
        """
        if seeds and len(seeds) != len(y):
            raise ValueError(f"need one seed per image: got {len(seeds)} for {len(y)} images")
        sampler = self._sampler(y, operator, seeds or [image_seed(seed, _digest(image)) for image in y])
        window = self._window(len(y), sampler.pinv_y.device)
        solved = _one_by_one(sampler) if window == 1 else self._all_at_once(sampler)
        misfit = (operator(solved.x_0) - y.to(solved.x_0)).flatten(1).norm(dim=1)
        size = y.flatten(1).norm(dim=1).to(misfit).clamp(min=torch.finfo(misfit.dtype).tiny)
        stats = tuple(
            ConvergenceStats(
                outcome=solved.outcome[b],
                fallback=solved.fallback[b],
                window=window,
                rounds=solved.rounds[b],
                nfe=solved.nfe[b],
                residual_final=solved.residual[b][-1] if solved.residual[b] else 0.0,
                residual_history=solved.residual[b],
                frontier_history=solved.frontier[b],
                data_consistency=consistency,
            )
            for b, consistency in enumerate((misfit / size).tolist())
        )
        return Restoration(images=solved.x_0.to(y.device), start=sampler.start.to(y.device), stats=stats)

    def _sampler(self, y: Tensor, A: LinearOperator, seeds: Sequence[int]) -> Sampler:
        if not bool(torch.isfinite(y).all()):
            raise ValueError("y holds nan or inf")
        start_noise = A.start_noise if self.start_noise is None else self.start_noise
        device = self.device or y.device
        if isinstance(self.prior, Prior):
            self.prior.check_noise(start_noise)
            device = self.device or self.prior.device
        y = y.to(device)
        start = A.start(y)
        return Sampler(
            denoiser=self.prior,
            A=A,
            chain=Chain.between(start_noise, self.end_noise, steps=self.steps, eta=self.eta),
            pinv_y=A.pinv(y),
            start=start,
            noise=chain_noise(seeds, start.shape[1:], self.steps, dtype=y.dtype, device=device),
            denoiser_batch=self.denoiser_batch,
        )

    def _window(self, images: int, device: torch.device) -> int:
        at_once = self.mode in ("latency", "paper") or (
            self.mode == "auto" and images == 1 and device.type != "cpu"
        )
        return self.steps if at_once else 1

    def _all_at_once(self, sampler: Sampler) -> _Solved:
        T = sampler.chain.steps
        solver: FixedPointSolver
        if self.mode == "paper":
            surrogate: Surrogate = FrozenEps()
            rounds = min(PAPER_ROUNDS, T)
            solver = Anderson(tol=0, max_rounds=rounds, memory=5, ridge=1e-3, safeguard=False)
        else:
            surrogate = SURROGATES[self.surrogate]
            solver = Picard(tol=self.tolerance, max_rounds=min(self.max_rounds or T, T))
        F = JointMap(sampler, surrogate)
        found = solver(F, sampler.frozen())
        rounds_of = found.rounds.tolist()
        nfe = [sum(T - k for k in range(rounds)) for rounds in rounds_of]
        x_0 = found.value[:, -1].clone()
        outcome = [
            Outcome.CONVERGED if why is Outcome.MAX_ROUNDS and rounds == T else why
            for why, rounds in zip(found.outcome, rounds_of, strict=True)
        ]
        fallback = [why is Outcome.MAX_ROUNDS and self.mode != "paper" for why in outcome]
        late = torch.tensor([b for b, late in enumerate(fallback) if late], dtype=torch.long)
        if len(late):
            x = F.exact_state()[late]
            for x in sampler.take(late).sequential(x, F.calls):
                pass
            x_0[late] = x
        for b in late.tolist():
            left = T - F.calls
            rounds_of[b], nfe[b] = rounds_of[b] + left, nfe[b] + left
            finite = bool(torch.isfinite(x_0[b]).all())
            outcome[b] = Outcome.MAX_ROUNDS if finite else Outcome.NONFINITE
        residual, frontier = _histories(found, self.tolerance)
        return _Solved(
            x_0=x_0,
            outcome=outcome,
            fallback=fallback,
            rounds=rounds_of,
            nfe=nfe,
            residual=residual,
            frontier=frontier,
        )


def _one_by_one(sampler: Sampler) -> _Solved:
    T, B = sampler.chain.steps, len(sampler.start)
    x = sampler.initial()
    for x in sampler.sequential(x):
        pass
    finite = torch.isfinite(x).flatten(1).all(1).tolist()
    return _Solved(
        x_0=x,
        outcome=[Outcome.CONVERGED if ok else Outcome.NONFINITE for ok in finite],
        fallback=[False] * B,
        rounds=[T] * B,
        nfe=[T] * B,
        residual=[()] * B,
        frontier=[tuple(range(1, T + 1))] * B,
    )


def _histories(found: FixedPoint, tol: float) -> tuple[list[tuple[float, ...]], list[tuple[int, ...]]]:
    """Per image: the largest residual after each of its rounds, and its leading states within tol or exact."""
    worst, within = found.residual.amax(2), found.residual <= tol
    leading = within.long().cumprod(2).sum(2)
    exact = torch.arange(1, len(leading) + 1, device=leading.device)[:, None]
    leading = torch.maximum(leading, exact)
    residual, frontier = list[tuple[float, ...]](), list[tuple[int, ...]]()
    for b, rounds in enumerate(found.rounds.tolist()):
        residual.append(tuple(worst[:rounds, b].tolist()))
        frontier.append(tuple(leading[:rounds, b].tolist()))
    return residual, frontier


def _digest(image: Tensor) -> str:
    return hashlib.sha256(image.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
