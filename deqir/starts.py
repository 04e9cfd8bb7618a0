"""What chains start from: a picture that was given, what the prior makes of y, or the operator's own start."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .crew import shape_of
from .devices import sent
from .priors.directory import PriorCard
from .priors.prior import Prior
from .protocols import Denoiser, LinearOperator, NoisyStart
from .requests import Request
from .settings import Defaults, Settings
from .shapes import Float


def own_start(A: LinearOperator, y: Float[Tensor, "B c h w"], sigma_y: float) -> Float[Tensor, "B C H W"]:
    """Return what a chain starts from that is given no other start."""
    return A.start_of_noisy(y, sigma_y) if sigma_y and isinstance(A, NoisyStart) else A.start(y)


def start_noise(settings: Settings, A: LinearOperator, prior: Prior | PriorCard | Denoiser, *, given: bool) -> float:
    """Return the noise of a start, as a standard deviation of images in [0, 1]: what was set, or what fits the start.

    Args:
        settings: Where it may be set.
        A: The degradation; knows how far its own start is off.
        prior: May make the start.
        given: The image comes with a start of its own.
    """
    if settings.start_noise is not None:
        return settings.start_noise
    if given:
        return Defaults.GIVEN_NOISE
    made = isinstance(prior, Prior | PriorCard) and prior.starts(A)
    return Defaults.ENLARGED_NOISE if made else A.start_noise


def starts(
    request: Request[Any], prior: Prior | Denoiser, y: Float[Tensor, "B c h w"], pinv_y: Float[Tensor, "B C H W"]
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B C H W"]]:
    """Return what the chain of an image starts from, and what a parallel solve first takes its predictions for.

    Args:
        request: The image.
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
    elif isinstance(prior, Prior) and prior.enlargers is not None:
        start = prior.enlargers.start(A, y, request.sigma_y)
    if start is not None:
        agreed = start if request.sigma_y else pinv_y + start - A.pinv(A(start))
        return agreed, agreed
    start = own_start(A, y, request.sigma_y)
    if (request.sigma_y and isinstance(A, NoisyStart)) or A.guess == A.start:
        return start, start
    return start, A.guess(y)
