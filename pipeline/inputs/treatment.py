"""The treatment of an image: stages of restoration one after the other, decided from a diagnosis."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from torch import Tensor

from deqir.estimation import Diagnosis, Estimate, estimate_kernel
from deqir.estimation.jpeg import typical_error
from deqir.operators import NearestSuperResolution, SuperResolution
from deqir.protocols import LinearOperator
from pipeline.degradation import ROUNDING, Degradation

from .make_operator import make_operator
from .noise import sigma_of

LEAST_NOISE: Final = 2 / 255
"""Low end of the interval of an image's noise from which on it is removed: less is within what texture looks like."""
LEAST_BLUR: Final = 0.5
"""Low end of the interval of a blur, in pixels, from which on it is undone: sharp photographs may have as much."""
TOWARDS: Final = 0.5
"""Place of the width told between the low end of a blur's interval, 0, and its value, 1. On 11 crops of validation
photographs (1.2 to 2.6 pixels, noise, JPEG) 0 gained 0.7 dB and lost 0.2 at worst, 0.5 gained 1.5, 1 gained 2.0, each
of these without a loss; a width too large costs more than one too small."""
GOOD_QUALITY: Final = 90
"""Highest quality of a JPEG whose loss is undone. Better ones are copied, bytes and all."""
SMEARED: Final = 1.15
"""Factor for the noise of a JPEG: its colours at half resolution spread noise to neighbours, where it counts more."""
COARSE: Final = 50
"""Highest quality of a JPEG that is undone before it is enlarged; the loss of better ones is told as noise."""
LEFT_OVER: Final = 0.02
"""Noise told of an image whose compression was undone, as a standard deviation of images in [0, 1]."""


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
        y: The observation of the first stage; each later stage restores the result of the one before.
        decisions: The reasons, each with a beginning for counts: "denoise: noise of 12 levels, at least 9".
    """

    y: Tensor
    stages: tuple[Stage, ...]
    decisions: tuple[str, ...] = ()

    @property
    def unchanged(self) -> bool:
        """True if nothing is to be restored."""
        return not self.stages


def treatment_of(
    pixels: Tensor, found: Diagnosis, *, scale: int, undo_jpeg: Callable[[], tuple[Tensor, Stage] | None]
) -> Treatment:
    """Return the treatment that a diagnosis warrants.

    A blur is told rather too narrow than too wide, which ruins an image. Compression
    counts as noise beside blur or noise, and is undone by itself otherwise. Pictures that are no photographs are
    enlarged only.

    Args:
        pixels: The image, shape (1 or 3, H, W), in [-1, 1].
        scale: Enlargement asked for; 1: none.
        undo_jpeg: Makes y and the stage that undoes the compression of the file; None if the file does not tell.
    """
    y, stages, decisions = pixels.expand(3, -1, -1), list[Stage](), list[str]()
    photograph, quality = found.kind == "photograph", found.jpeg.quality if found.jpeg else None
    lost = typical_error(quality) / 2 if quality is not None else 0.0
    noise = _noise_of(found, compressed=quality is not None)
    left_over = math.hypot(noise, lost)
    if not photograph:
        decisions.append(f"left alone: {found.kind}, no photograph")
        left_over = 0.0
    elif scale == 1 and found.blur is not None and found.blur.low > LEAST_BLUR and found.upscaling is None:
        told = math.hypot(max(found.noise.sigma.value if found.noise else 0.0, ROUNDING), lost)
        width = cautious(found.blur)
        operator = make_operator(Degradation(task="deblur", width=width), noise=told)
        stages.append(Stage(operator=operator, sigma_y=sigma_of(told, operator, y)))
        decisions.append(
            f"deblur: a blur of {found.blur.low:.1f} to {found.blur.high:.1f} pixels, undone as {width:.1f} with noise "
            f"of {255 * told:.1f} levels"
        )
    elif scale == 1 and noise:
        told = math.hypot(noise, lost / 2)
        operator = make_operator(Degradation(task="denoise"), noise=told)
        stages.append(Stage(operator=operator, sigma_y=sigma_of(told, operator, y)))
        decisions.append(f"denoise: noise of {255 * noise:.1f} levels")
    elif (
        quality is not None
        and quality <= (GOOD_QUALITY if scale == 1 else COARSE)
        and not noise
        and (made := undo_jpeg()) is not None
    ):
        y = made[0]
        stages.append(made[1])
        decisions.append(f"jpeg: quality {quality} undone, by the file's own tables")
        left_over = LEFT_OVER
    if scale > 1:
        nearest = photograph and estimate_kernel(pixels) == "nearest"
        enlarging = NearestSuperResolution(scale=scale) if nearest else SuperResolution(scale=scale)
        sigma_y = sigma_of(left_over, enlarging, pixels.expand(3, -1, -1))
        stages.append(Stage(operator=enlarging, sigma_y=sigma_y))
        kernel, told_noise = "nearest" if nearest else "average", f" and noise of {255 * left_over:.1f} levels"
        decisions.append(f"enlarge: {scale} times, with kernel {kernel}{told_noise if left_over else ''}")
    if not decisions:
        decisions.append("nothing to restore: no noise, blur or compression was found beyond doubt")
    return Treatment(y=y, stages=tuple(stages), decisions=tuple(decisions))


def cautious(blur: Estimate) -> float:
    """Return the width in pixels by which a blur is undone."""
    return blur.low + TOWARDS * (blur.value - blur.low)


def _noise_of(found: Diagnosis, *, compressed: bool) -> float:
    """Return the noise to remove, as a standard deviation of images in [0, 1]; 0 where it may be texture."""
    if found.noise is None or found.noise.sigma.low <= LEAST_NOISE:
        return 0.0
    return found.noise.sigma.value * (SMEARED if compressed else 1.0)
