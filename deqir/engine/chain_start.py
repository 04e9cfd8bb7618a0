"""What chains start from: a picture that was given, what the prior makes of y, or the operator's own start."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import Tensor

from deqir.hardware.devices import sent
from deqir.operators import Denoising
from deqir.operators.composition import masks_in
from deqir.priors.directory import PriorCard
from deqir.priors.prior import Prior
from deqir.protocols import Denoiser, LinearOperator, NoisyStart
from deqir.settings import Defaults, Settings
from deqir.shapes import Float

from .requests import Request
from .scheduler import shape_of


def own_start(A: LinearOperator, y: Float[Tensor, "B c h w"], sigma_y: float) -> Float[Tensor, "B C H W"]:
    """Return what a chain starts from that is given no other start."""
    return A.start_of_noisy(y, sigma_y) if sigma_y and isinstance(A, NoisyStart) else A.start(y)


class Span(NamedTuple):
    """Where a chain begins and ends.

    Attributes:
        noise: Of the start, as a standard deviation of images in [0, 1].
        end: Noise of the last step, in the same unit.
        steps: Sampling steps T.
    """

    noise: float
    end: float
    steps: int


def makes_start(settings: Settings, A: LinearOperator, prior: Prior | PriorCard | Denoiser) -> bool:
    """Return whether the prior makes what chains for A start from; the published algorithm starts as published."""
    return settings.mode != "paper" and isinstance(prior, Prior | PriorCard) and prior.starts(A)


def span_of(
    settings: Settings,
    A: LinearOperator,
    prior: Prior | PriorCard | Denoiser,
    *,
    given: bool,
    sigma_y: float = 0.0,
) -> Span:
    """Return what was set, or what fits the start.

    One that the prior makes takes little noise and few steps, but where gaps are wide: many steps lose least of what
    it has in those. They would smooth what it has in wider ones, see training/README.md.

    Args:
        settings: Noise and steps of the run.
        A: The degradation; knows how far its own start is off.
        prior: May make the start.
        given: The image comes with a start of its own.
        sigma_y: Standard deviation of the noise of y, images in [-1, 1]; where it is all that is to be undone, the
            chain starts with as much at least, or with as much as the prior knows.
    """
    if settings.start_noise is not None:
        return Span(settings.start_noise, settings.end_noise, settings.steps)
    if given:
        return Span(Defaults.GIVEN_NOISE, settings.end_noise, settings.steps)
    if not makes_start(settings, A, prior):
        most = prior.max_noise if isinstance(prior, Prior | PriorCard) else math.inf
        noise = min(sigma_y / 2, most) if isinstance(A, Denoising) else 0.0
        return Span(max(A.start_noise, noise), settings.end_noise, settings.steps)
    if any(mask.wide for mask in masks_in(A)):
        return Span(Defaults.GIVEN_NOISE, settings.end_noise, settings.steps)
    return Span(Defaults.MADE_NOISE, Defaults.MADE_END, min(settings.steps, Defaults.MADE_STEPS))


def starts(
    request: Request[Any],
    settings: Settings,
    prior: Prior | Denoiser,
    y: Float[Tensor, "B c h w"],
    pinv_y: Float[Tensor, "B C H W"],
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B C H W"]]:
    """Return what the chain of an image starts from, and what a parallel solve first takes its predictions for.

    Args:
        request: The image.
        settings: Of the run.
        prior: That restores it.
        y: The request's, as a batch of one, where the arithmetic runs.
        pinv_y: A^+ y.

    Raises:
        ValueError: The image to start from has another shape than what is restored.
    """
    A, start = request.operator, None
    if request.start is not None:
        if tuple(request.start.shape) != shape_of(request):
            raise ValueError(
                f"the image to start from has shape {tuple(request.start.shape)}, what is restored {shape_of(request)}"
            )
        start = sent(request.start, y.device, y.dtype)[None]
    elif isinstance(prior, Prior) and prior.starters is not None and makes_start(settings, A, prior):
        start = prior.starters.start(A, y, request.sigma_y)
    if start is not None:
        agreed = start if request.sigma_y else pinv_y + start - A.pinv(A(start))
        return agreed, agreed
    start = own_start(A, y, request.sigma_y)
    if (request.sigma_y and isinstance(A, NoisyStart)) or A.guess == A.start:
        return start, start
    return start, A.guess(y)
