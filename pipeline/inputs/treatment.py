"""The treatment of an image: stages of restoration one after the other, decided from a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from torch import Tensor

from deqir.estimation import NoiseEstimate
from deqir.operators import SuperResolution
from deqir.protocols import LinearOperator
from pipeline.degradation import Degradation

from .make_operator import make_operator
from .noise import sigma_of

LEAST_NOISE: Final = 2 / 255
"""Low end of the interval of an image's noise from which on it is removed: less is within what texture looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One restoration in a treatment.

    Attributes:
        operator: The degradation undone.
        sigma_y: Standard deviation of its noise, images in [-1, 1].
        settings: Fields of `deqir.Settings` that differ from the job's.
    """

    operator: LinearOperator
    sigma_y: float
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """Stages of restoration, the first undone first; none for an image that stays unchanged.

    Attributes:
        stages: The image given is that of the first stage; each later stage restores the result of the one before.
        decisions: The reasons, each with a beginning for counts: "denoise: noise of 12 levels, at least 9".
    """

    stages: tuple[Stage, ...]
    decisions: tuple[str, ...] = ()

    @property
    def unchanged(self) -> bool:
        """True if nothing is to be restored."""
        return not self.stages


def treatment_of(y: Tensor, *, noise: NoiseEstimate | None, scale: int) -> Treatment:
    """Return the treatment that a diagnosis warrants.

    Args:
        y: The image, shape (3, H, W), in [-1, 1].
        noise: Its noise; None: not told.
        scale: Enlargement asked for; 1: none.
    """
    stages, decisions = list[Stage](), list[str]()
    if noise is not None and noise.sigma.low > LEAST_NOISE:
        level = noise.sigma.value
        operator = make_operator(Degradation(task="denoise"), noise=level)
        stages.append(Stage(operator=operator, sigma_y=sigma_of(level, operator, y)))
        decisions.append(f"denoise: noise of {255 * level:.1f} levels, at least {255 * noise.sigma.low:.1f}")
    if scale > 1:
        stages.append(Stage(operator=SuperResolution(scale=scale), sigma_y=0.0))
        decisions.append(f"enlarge: {scale} times, as asked")
    if not stages:
        decisions.append("nothing to restore: no noise was found beyond texture")
    return Treatment(stages=tuple(stages), decisions=tuple(decisions))
