"""The settings of a restoration: the chain, its window, and the stand-in for its Jacobian."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Self, get_args

import torch

from .defaults import Defaults, Favour, Mode, SurrogateName, check_overlap
from .fixed_point.surrogates import FrozenData, FrozenEps, Secant, Wiener
from .protocols import Surrogate

__all__ = ["SURROGATES", "Defaults", "Favour", "Mode", "Settings", "SurrogateName"]

SURROGATES: Final[dict[SurrogateName, Surrogate]] = {
    "eps": FrozenEps(),
    "data": FrozenData(),
    "wiener": Wiener(),
    "secant": Secant(),
}

FAVOURS: Final[dict[Favour, dict[str, Any]]] = {
    "fidelity": {"eta": 1.0, "kappa": (0.3, 0.8), "direct": True},
    "balance": {},
    "detail": {"eta": 0.85, "kappa": (0.5, 0.95), "prior_error": 1.0},
}
"""Settings of each favour that differ from the defaults, measured in docs/algorithm.md, "Fidelity or detail"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a restoration, the same for all images of a run.

    Attributes:
        steps: Sampling steps T. From a start that the prior makes at most `Defaults.MADE_STEPS` are taken, unless
            `start_noise` is set or the mask has wide gaps and no vast ones (`deqir.engine.chain_start.span_of`).
        eta: Share of fresh noise in each step, 0..1.
        start_noise: Noise of the start, as a standard deviation of images in [0, 1]; None: a value that fits the
            start, see `deqir.engine.chain_start.span_of`.
        kappa: Most noise that the first and the last step take from noisy data, as shares of the level of the next
            state, 0..1; linear in log sigma between them. None: the rule of method 1 (docs/algorithm.md).
        prior_error: Assumed error of the last data prediction, as a share of the noise in its state; the more, the more
            of noisy data is in the result.
        direct: Noise alone (`Denoising`) is removed by one evaluation of the network, without a chain, unless
            `start_noise` is set.
        within_range: The last step stays inside [-1, 1] without leaving y; not in mode paper.
        end_noise: Noise of the last step, in the same unit; `Defaults.MADE_END` if `Defaults.MADE_STEPS` are taken.
        mode: The window, the number of states of an image that are solved together. auto: 1 on one device; with several
            replicas as many states as keep each replica busy. throughput: 1, one step after another, batched over
            images. latency: all T. A number: this window. paper: all T, by the published algorithm (eps form,
            Anderson m = 5, ridge 1e-3, 15 rounds), for comparison.
        surrogate: Stand-in for the Jacobian if the window is wider than 1.
        tolerance: Relative residual at which a state of a window counts as found.
        max_rounds: Rounds with a window before an image is finished step by step; None: T.
        device: Device of the chain's arithmetic; None: the prior's device.
        denoiser_batch: Most images x steps in one network call; None: measured on an accelerator, 1 a replica on
            a CPU, where a wide batch outgrows the caches (FFDNet at 256 x 256 pixels: 0.21 s an evaluation in
            place of 0.12). Each tile counts as an evaluation.
        tile: Pixels a side of the tiles in which the network sees images; at every step the tiles' answers are
            blended, and A acts on the whole image. None: the prior's native size, if it has one; else the network
            sees whole images, and tiles only if they do not fit in memory.
        overlap: Pixels shared by neighbouring tiles, at most half a tile; None: a quarter, at most 64.

    Raises:
        ValueError: The mode or the surrogate is unknown, or a number is out of its range.
    """

    steps: int = Defaults.STEPS
    eta: float = Defaults.ETA
    start_noise: float | None = None
    end_noise: float = Defaults.END_NOISE
    kappa: tuple[float, float] | None = Defaults.KAPPA
    prior_error: float = Defaults.PRIOR_ERROR
    direct: bool = False
    within_range: bool = True
    mode: Mode | int = "auto"
    surrogate: SurrogateName = "secant"
    tolerance: float = Defaults.TOLERANCE
    max_rounds: int | None = None
    device: torch.device | None = None
    denoiser_batch: int | None = None
    tile: int | None = None
    overlap: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.mode, int) and self.mode not in get_args(Mode):
            known = ", ".join(get_args(Mode))
            raise ValueError(f"mode must be a number of states or one of {known}, got {self.mode!r}")
        if self.surrogate not in SURROGATES:
            raise ValueError(f"surrogate must be one of {', '.join(SURROGATES)}, got {self.surrogate!r}")
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance must be at least 0, got {self.tolerance}")
        for name in ("mode", "max_rounds", "denoiser_batch", "tile"):
            number = getattr(self, name)
            if isinstance(number, int | float) and number < 1:
                raise ValueError(f"{name} must be at least 1 or None, got {number}")
        if self.kappa is not None and not all(0 < share <= 1 for share in self.kappa):
            raise ValueError(f"kappa must be two numbers above 0 and up to 1, or None, got {self.kappa}")
        if not self.prior_error >= 0:
            raise ValueError(f"prior_error must be at least 0, got {self.prior_error}")
        check_overlap(self.tile, self.overlap)

    def favouring(self, favour: Favour) -> Self:
        """Return the settings for results nearer to the original (fidelity) or richer in detail; balance: the defaults.

        A setting that differs from its default stays as it is.

        Raises:
            ValueError: The favour is unknown.
        """
        if favour not in FAVOURS:
            raise ValueError(f"favour must be one of {', '.join(FAVOURS)}, got {favour!r}")
        default = Settings()
        free = {
            name: value for name, value in FAVOURS[favour].items() if getattr(self, name) == getattr(default, name)
        }
        return replace(self, **free)
