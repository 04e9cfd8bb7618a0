"""From a photograph to the wider scene around it, and back."""

from __future__ import annotations

from torch import Tensor

from deqir.operators import FramedDeblurring
from deqir.protocols import LinearOperator


def scene_of(image: Tensor, operator: LinearOperator) -> Tensor:
    """Return an image as the operator needs it: mirrored beyond its edges if the operator needs a wider scene."""
    return operator.widened(image) if isinstance(operator, FramedDeblurring) else image


def shown(image: Tensor, operator: LinearOperator) -> Tensor:
    """Return a restored image cut to the frame of its source."""
    return operator.framed(image) if isinstance(operator, FramedDeblurring) else image


def sides_of(y: Tensor, operator: LinearOperator) -> tuple[int, int]:
    """Return height and width of the delivered image for an observation, shape (c, h, w)."""
    if isinstance(operator, FramedDeblurring):
        return y.shape[-2], y.shape[-1]
    _, height, width = operator.image_shape(tuple(y.shape))
    return height, width
