"""One chain, sequentially or by a solver, and how good its result is after each round."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from deqir import Anderson, Chain, Picard
from deqir.fixed_point.joint_map import JointMap
from deqir.fixed_point.solvers import block_residual
from deqir.metrics import psnr
from deqir.pretrained.lpips import Lpips
from deqir.protocols import Denoiser, FixedPointSolver, LinearOperator
from deqir.restore import SURROGATES, Defaults, SurrogateName
from deqir.sampling.sampler import Sampler

from .ways import sampler_of

SEED: Final = 0
ANSWERS: Final = 300
"""Most results remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The quality of an image.

    Attributes:
        psnr: To the original, in dB; both clamped to [-1, 1].
        lpips: To the original.
        fidelity: PSNR to the sequential chain's result, in dB; inf where they are equal.
        residual: Largest relative residual over the states of the round, by which solvers stop; nan for an
            image without a round.
        nfe: Network evaluations so far.
        rounds: Serial network passes so far.
    """

    psnr: float
    lpips: float
    fidelity: float
    residual: float
    nfe: int
    rounds: int


def mean(scores: Sequence[Score]) -> Score:
    """Return the mean over photographs; the mean residual is the geometric one."""

    def over(name: str) -> float:
        return math.fsum(getattr(score, name) for score in scores) / len(scores)

    residual = math.exp(math.fsum(math.log(max(score.residual, 1e-30)) for score in scores) / len(scores))
    return Score(
        psnr=over("psnr"),
        lpips=over("lpips"),
        fidelity=over("fidelity"),
        residual=residual,
        nfe=scores[0].nfe,
        rounds=scores[0].rounds,
    )


class Remembering:
    """A denoiser with a memory of its recent results.

    Solvers of one chain share their first round, and sometimes more; counts are kept for each solver by itself.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()

    def __call__(self, x_t: Tensor, alpha_bar: Tensor, /) -> Tensor:
        asked = hashlib.blake2b(x_t.contiguous().numpy().tobytes() + alpha_bar.numpy().tobytes()).digest()
        answer = self._known.pop(asked, None)
        if answer is None:
            answer = self._denoiser(x_t, alpha_bar)
        self._known[asked] = answer
        if len(self._known) > ANSWERS:
            self._known.popitem(last=False)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A photograph with its degradation, restorer and metrics."""

    prior: Denoiser
    lpips: Lpips
    A: LinearOperator
    x: Tensor

    def sampler(
        self,
        *,
        steps: int,
        eta: float,
        start_noise: float | None = None,
        end_noise: float = Defaults.END_NOISE,
    ) -> Sampler:
        """Return the chain of this photograph, its noise from one seed for all."""
        chain = Chain.between(start_noise or self.A.start_noise, end_noise, steps=steps, eta=eta)
        return sampler_of(self.prior, self.A, chain, self.A(self.x), SEED, 1)

    def score(self, image: Tensor, *, to: Tensor, rounds: int, nfe: int, residual: float = math.nan) -> Score:
        """Measure an image against the original and the sequential chain's result `to`."""
        image = image.clamp(-1, 1)
        return Score(
            psnr=float(psnr(image, self.x)),
            lpips=float(self.lpips(image, self.x)),
            fidelity=float(psnr(image, to.clamp(-1, 1))),
            residual=residual,
            nfe=nfe,
            rounds=rounds,
        )

    def start(self) -> Score:
        """Return the score of a chain's start."""
        image = self.A.start(self.A(self.x))
        return self.score(image, to=image, rounds=0, nfe=0)

    def sequential(self, sampler: Sampler) -> tuple[Tensor, Score]:
        """Return the chain's end and its score."""
        x_0, T = sampler.end(sampler.initial()), sampler.chain.steps
        return x_0, self.score(x_0, to=x_0, rounds=T, nfe=T)

    def by_rounds(
        self, sampler: Sampler, *, to: Tensor, surrogate: SurrogateName, solver: str, rounds: int
    ) -> list[Score]:
        """Return the scores of the last state after each of the first `rounds` rounds; nan once it broke."""
        T = sampler.chain.steps
        F, scores = JointMap(sampler, SURROGATES[surrogate]), list[Score]()

        def measured(X: Tensor, rows: Tensor) -> Tensor:
            new, k = F(X, rows), len(scores) + 1
            nfe = sum(T - done for done in range(k))
            residual = float(block_residual(new, X).amax())
            scores.append(self.score(new[:, -1], to=to, rounds=k, nfe=nfe, residual=residual))
            return new

        solver_of(solver, rounds)(measured, sampler.frozen())
        broken = Score(psnr=math.nan, lpips=math.nan, fidelity=math.nan, residual=math.nan, nfe=0, rounds=0)
        return scores + [broken] * (rounds - len(scores))


def solver_of(name: str, rounds: int) -> FixedPointSolver:
    """Return picard, anderson (safeguarded) or paper (Anderson as published), each for all `rounds`."""
    if name == "picard":
        return Picard(tol=0, max_rounds=rounds)
    if name == "anderson":
        return Anderson(tol=0, max_rounds=rounds)
    return Anderson(tol=0, max_rounds=rounds, memory=5, ridge=1e-3, safeguard=False)
