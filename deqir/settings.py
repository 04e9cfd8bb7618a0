"""How images are restored: the chain, the window in which it is solved, and the stand-in for its Jacobian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

import torch

from .defaults import Defaults, Mode, SurrogateName, check_overlap
from .fixed_point.surrogates import FrozenData, FrozenEps, Secant, Wiener
from .protocols import Surrogate

__all__ = ["SURROGATES", "Defaults", "Mode", "Settings", "SurrogateName"]

SURROGATES: Final[dict[SurrogateName, Surrogate]] = {
    "eps": FrozenEps(),
    "data": FrozenData(),
    "wiener": Wiener(),
    "secant": Secant(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a restoration, the same for all images of a run.

    Attributes:
        steps: Sampling steps T; of a start that the prior makes at most `Defaults.MADE_STEPS` are taken, unless
            `start_noise` is set or gaps are wide, though none vast, see `deqir.engine.chain_start.span_of`.
        eta: Share of fresh noise in each step, 0..1.
        start_noise: Noise of the start, as a standard deviation of images in [0, 1]; None: what fits the start, see
            `deqir.engine.chain_start.span_of`.
        end_noise: Noise of the last step, in the same unit; of so few steps it is `Defaults.MADE_END`.
        mode: How many states of an image are solved together, its window. throughput: 1, one step after
            another, batched over images. latency: all T. A number: that many. paper: all T, by the published
            algorithm (eps form, Anderson m = 5, ridge 1e-3, 15 rounds), for comparison. auto: on an accelerator,
            of the windows with which the images in flight fit its batch, the one that ends soonest by what network
            calls and rounds took when they were measured there; the widest where `denoiser_batch` is set, as nothing
            is measured then. On a CPU 1, as evaluations done at once take as long there as one after another; with
            several replicas as many as keep each busy.
        surrogate: Stand-in for the Jacobian where the window is wider than 1.
        tolerance: Relative residual at which a state of a window is found.
        max_rounds: Rounds with a window before an image is finished step by step; None: T.
        device: Where the chain's arithmetic runs; None: where the prior is.
        denoiser_batch: Most images x steps in one network call; None: measured on an accelerator, 1 a replica on
            a CPU, where a wide batch outgrows the caches (FFDNet at 256 x 256 pixels: 0.21 s an evaluation in
            place of 0.12). Tiles count as evaluations of their own.
        tile: Pixels a side of the tiles in which the network sees images; at every step their answers are blended,
            and A acts on the whole image. None: the size that the prior is bound to, if any; else the network
            sees whole images, and tiles only where they do not fit in memory.
        overlap: Pixels that neighbouring tiles share, at most half a tile; None: a quarter, at most 64.

    Raises:
        ValueError: There is no such mode or surrogate, or a number is out of its range.
    """

    steps: int = Defaults.STEPS
    eta: float = Defaults.ETA
    start_noise: float | None = None
    end_noise: float = Defaults.END_NOISE
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
        window = self.mode if isinstance(self.mode, int) else None
        for name, number in (
            ("mode", window),
            ("max_rounds", self.max_rounds),
            ("denoiser_batch", self.denoiser_batch),
            ("tile", self.tile),
        ):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1 or None, got {number}")
        check_overlap(self.tile, self.overlap)
