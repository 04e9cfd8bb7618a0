"""The front door: degraded images in, restored images and the statistics of their convergence out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor

from .chain import Chain
from .noise import chain_noise, image_seed
from .priors.prior import Prior
from .protocols import Denoiser, LinearOperator, Surrogate
from .results import ConvergenceStats, Restoration
from .shapes import Float
from .solvers import Anderson, Picard
from .solving import Solved, all_at_once, one_by_one
from .surrogates import FrozenData, FrozenEps, Secant, Wiener
from .trajectory import Sampler

Mode = Literal["auto", "throughput", "latency", "paper"]
SurrogateName = Literal["eps", "data", "wiener", "secant"]
SURROGATES: Final[dict[SurrogateName, Surrogate]] = {
    "eps": FrozenEps(),
    "data": FrozenData(),
    "wiener": Wiener(),
    "secant": Secant(),
}
PAPER_ROUNDS: Final = 15


__all__ = ["SURROGATES", "ConvergenceStats", "Defaults", "Mode", "Restoration", "Restorer", "SurrogateName"]


class Defaults:
    """Settings chosen from docs/convergence.md."""

    STEPS: Final = 20
    ETA: Final = 0.95
    END_NOISE: Final = 6 / 255
    TOLERANCE: Final = 5e-3


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
        denoiser_batch: Most images x steps in one network call; None: 16, but 1 on a CPU, where a wide batch
            outgrows the caches (FFDNet at 256 x 256 pixels: 0.21 s an evaluation in place of 0.12).

    Raises:
        ValueError: There is no such mode or surrogate, or a number is below 1.
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
    denoiser_batch: int | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("mode", self.mode, get_args(Mode)),
            ("surrogate", self.surrogate, tuple(SURROGATES)),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        for name, number in (("max_rounds", self.max_rounds), ("denoiser_batch", self.denoiser_batch)):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1 or None, got {number}")

    @torch.inference_mode()
    def __call__(
        self,
        y: Float[Tensor, "B c h w"],
        operator: LinearOperator,
        *,
        seed: int = 0,
        seeds: Sequence[int] = (),
    ) -> Restoration:
        """Restore a batch of images of one size.

        Args:
            y: Degraded images in [-1, 1].
            operator: The degradation that made them.
            seed: Seeds each image's noise together with the image's own content, so that a result does not
                depend on its place in a batch.
            seeds: One seed per image, instead of `seed`.

        Raises:
            ValueError: y is no batch of finite images, the operator cannot have made it, or a setting is out of
                range.
            PriorError: The prior does not know noise as strong as the start's.
        """
        if y.ndim != 4:
            raise ValueError(
                f"y must be a batch of images, (images, channels, height, width), got {tuple(y.shape)}; a single "
                "image is a batch of one: y[None]"
            )
        if seeds and len(seeds) != len(y):
            raise ValueError(f"need one seed per image: got {len(seeds)} for {len(y)} images")
        sampler = self._sampler(y, operator, seeds or [image_seed(seed, _digest(image)) for image in y])
        window = self._window(len(y), sampler.pinv_y.device)
        solved = self._solve(sampler, window)
        misfit = (operator(solved.x_0) - y.to(solved.x_0)).flatten(1).norm(dim=1)
        size = y.flatten(1).norm(dim=1).to(misfit).clamp(min=torch.finfo(misfit.dtype).tiny)
        stats = solved.stats(window, (misfit / size).tolist())
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
            denoiser_batch=self.denoiser_batch or (1 if device.type == "cpu" else 16),
        )

    def _window(self, images: int, device: torch.device) -> int:
        at_once = self.mode in ("latency", "paper") or (self.mode == "auto" and images == 1 and device.type != "cpu")
        return self.steps if at_once else 1

    def _solve(self, sampler: Sampler, window: int) -> Solved:
        if window == 1:
            return one_by_one(sampler)
        T = sampler.chain.steps
        if self.mode == "paper":
            solver = Anderson(tol=0, max_rounds=min(PAPER_ROUNDS, T), memory=5, ridge=1e-3, safeguard=False)
            return all_at_once(sampler, FrozenEps(), solver, tolerance=self.tolerance, finish=False)
        rounds = min(self.max_rounds or T, T)
        newton = Picard(tol=self.tolerance, max_rounds=rounds)
        return all_at_once(sampler, SURROGATES[self.surrogate], newton, tolerance=self.tolerance, finish=True)


def _digest(image: Tensor) -> str:
    return hashlib.sha256(image.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
