"""Adapters for the operators of other libraries."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .matrix_free import MatrixFree

if TYPE_CHECKING:
    from deepinv.physics import LinearPhysics


def from_deepinv(physics: LinearPhysics, shape: tuple[int, int, int]) -> MatrixFree:
    """Return the noise-free operator of a deepinv physics (the extra `deepinv`), with A^+ by conjugate gradients.

    Args:
        physics: A deepinv.physics.LinearPhysics with its parameters set; its noise is left out.
        shape: Shape of an image, (C, H, W). Measurements of a shape other than (B, c, h, w) become (B, 1, 1, numbers).

    Raises:
        ImportError: deepinv is not installed.
        ValueError: The physics is not linear, or its measurement is not a single real tensor.
    """
    try:
        from deepinv.physics import LinearPhysics
    except ImportError as error:
        raise ImportError("deepinv is not installed: pip install 'deqir[deepinv]'") from error
    if not isinstance(physics, LinearPhysics):
        raise ValueError(
            f"{type(physics).__name__} is not a deepinv.physics.LinearPhysics; restoration needs a linear degradation"
        )
    like = next(chain(physics.parameters(), physics.buffers()), torch.zeros(()))
    y = physics.A(torch.zeros(1, *shape, device=like.device))
    if not isinstance(y, Tensor) or y.is_complex():
        kind = f"numbers of {y.dtype}" if isinstance(y, Tensor) else f"a {type(y).__name__}"
        raise ValueError(f"{type(physics).__name__} makes {kind}; give one real tensor, such as torch.view_as_real's")
    own, flat = tuple(y.shape[1:]), y.ndim != 4

    def forward(x: Tensor) -> Tensor:
        y: Tensor = physics.A(x)
        return y.reshape(len(x), 1, 1, -1) if flat else y

    def transpose(y: Tensor) -> Tensor:
        x: Tensor = physics.A_adjoint(y.reshape(len(y), *own))
        return x

    return MatrixFree(forward=forward, transpose=transpose, shape=shape)
