"""From a photograph to the wider scene around it, and back."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from deqir.protocols import LinearOperator


@runtime_checkable
class Framing(Protocol):
    """An operator whose x is wider than the image delivered."""

    def framed(self, x: Tensor, /) -> Tensor: ...
    def widened(self, image: Tensor, /) -> Tensor: ...


def scene_of(image: Tensor, operator: LinearOperator) -> Tensor:
    """Return an image as the operator needs it: continued beyond its edges if the operator needs a wider scene."""
    return operator.widened(image) if isinstance(operator, Framing) else image


def shown(image: Tensor, operator: LinearOperator) -> Tensor:
    """Return a restored image cut to the frame of its source."""
    return operator.framed(image) if isinstance(operator, Framing) else image


def sides_of(y: Tensor, operator: LinearOperator) -> tuple[int, int]:
    """Return height and width of the delivered image for an observation, shape (c, h, w)."""
    _, height, width = operator.image_shape(tuple(y.shape))
    scene = shown(torch.empty(height, width, device="meta"), operator)
    return scene.shape[-2], scene.shape[-1]
