"""Where a photograph is taken for part of a wider scene: from the one to the other, and back."""

from __future__ import annotations

from torch import Tensor

from deqir.operators import FramedDeblurring
from deqir.protocols import LinearOperator


def scene_of(image: Tensor, operator: LinearOperator) -> Tensor:
    """Return the image that makes an observation of its size; where that takes a wider scene, mirrors go on with it."""
    return operator.widened(image) if isinstance(operator, FramedDeblurring) else image


def shown(image: Tensor, operator: LinearOperator) -> Tensor:
    """Return what the source of a restored image shows of it: all, but for a wider scene."""
    return operator.framed(image) if isinstance(operator, FramedDeblurring) else image


def sides_of(y: Tensor, operator: LinearOperator) -> tuple[int, int]:
    """Return height and width of what is delivered for an observation, shape (c, h, w)."""
    if isinstance(operator, FramedDeblurring):
        return y.shape[-2], y.shape[-1]
    _, height, width = operator.image_shape(tuple(y.shape))
    return height, width
