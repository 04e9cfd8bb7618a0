"""The start of a chain: a given image, the prior's enlargement, filling or colouring of y, or the operator's start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from torch import Tensor

from deqir.hardware.devices import sent
from deqir.operators import Denoising
from deqir.operators.composition import masks_in
from deqir.priors.directory import PriorCard
from deqir.priors.prior import Prior
from deqir.protocols import Denoiser, LinearOperator, NoisyStart
from deqir.results import ConvergenceStats
from deqir.sampling.chain import Chain
from deqir.settings import Defaults, Settings
from deqir.shapes import Float

from .requests import Request, Result, Shape, StartKind

Tag = TypeVar("Tag")


class Span(NamedTuple):
    """The two ends of a chain.

    Attributes:
        noise: Noise of the start, as a standard deviation of images in [0, 1].
        end: Noise of the last step, in the same unit.
        steps: Sampling steps T.
        kind: Maker of the start.
        direct: One evaluation of the network at y, whose own noise is that of the start: none is added.
    """

    noise: float
    end: float
    steps: int
    kind: StartKind
    direct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Planned(Generic[Tag]):
    """A request, the shape (C, H, W) of the image to restore, and the image's chain."""

    request: Request[Tag]
    shape: Shape
    span: Span
    chain: Chain

    def result(
        self, *, image: Float[Tensor, "C H W"], start: Float[Tensor, "C H W"], stats: ConvergenceStats, seconds: float
    ) -> Result[Tag]:
        """Return the image's result, with the facts of its chain."""
        return Result(
            tag=self.request.tag,
            image=image,
            start=start,
            stats=stats,
            seconds=seconds,
            steps=self.span.steps,
            start_noise=self.span.noise,
            start_kind=self.span.kind,
        )


def span_of(
    settings: Settings,
    A: LinearOperator,
    prior: Prior | PriorCard | Denoiser,
    *,
    given: bool,
    sigma_y: float = 0.0,
) -> Span:
    """Return the noise and the steps of the settings, or fitting ones for the start.

    A start from the prior takes little noise and few steps. The exception is a mask with wide gaps, in which many
    steps lose the least detail; in vast gaps they would smooth the start (training/README.md). The published algorithm
    uses no start from the prior.

    Args:
        A: The degradation; knows the error of its own start.
        given: The image comes with a start of its own.
        sigma_y: Standard deviation of the noise of y, images in [-1, 1]. If A is `Denoising`, the chain starts with at
            least this noise, or with as much as the prior knows.
    """
    known = prior if isinstance(prior, Prior | PriorCard) else None
    made = settings.mode != "paper" and known is not None and known.makes_start(A)
    kind = StartKind.GIVEN if given else StartKind.MADE if made else StartKind.OWN
    if settings.start_noise is not None:
        return Span(settings.start_noise, settings.end_noise, settings.steps, kind)
    if kind is StartKind.OWN:
        noise = min(sigma_y / 2, known.max_noise if known else math.inf) if isinstance(A, Denoising) else 0.0
        if settings.direct and noise:
            return Span(noise, settings.end_noise, 1, kind, direct=True)
        return Span(max(A.start_noise, noise), settings.end_noise, settings.steps, kind)
    if kind is StartKind.GIVEN or any(mask.wide for mask in masks_in(A)):
        return Span(Defaults.GIVEN_NOISE, settings.end_noise, settings.steps, kind)
    return Span(Defaults.MADE_NOISE, Defaults.MADE_END, min(settings.steps, Defaults.MADE_STEPS), kind)


def own_start(A: LinearOperator, y: Float[Tensor, "B c h w"], sigma_y: float) -> Float[Tensor, "B C H W"]:
    """Return the operator's own start, for chains with no other start."""
    return A.start_of_noisy(y, sigma_y) if sigma_y and isinstance(A, NoisyStart) else A.start(y)


def start_and_guess(
    planned: Planned[Tag],
    prior: Prior | Denoiser,
    y: Float[Tensor, "B c h w"],
    pinv_y: Float[Tensor, "B C H W"],
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B C H W"]]:
    """Return the start of a chain, and the first guess of a parallel solve at its data predictions.

    Args:
        y, pinv_y: The request's y, as a batch of one, on the device of the chain, and A^+ y.

    Raises:
        ValueError: The given start has another shape than the image to restore.
    """
    request, start = planned.request, None
    A = request.operator
    if request.start is not None:
        if tuple(request.start.shape) != planned.shape:
            raise ValueError(
                f"the image to start from has shape {tuple(request.start.shape)}, the image to restore {planned.shape}"
            )
        start = sent(request.start, y.device, y.dtype)[None]
    elif planned.span.kind is StartKind.MADE and isinstance(prior, Prior) and prior.starters is not None:
        start = prior.starters.make_start(A, y, request.sigma_y)
    if start is not None:
        agreed = start if request.sigma_y else pinv_y + start - A.pinv(A(start))
        return agreed, agreed
    start = own_start(A, y, request.sigma_y)
    if (request.sigma_y and isinstance(A, NoisyStart)) or A.guess == A.start:
        return start, start
    return start, A.guess(y)
