"""Operators of other libraries."""

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
        physics: A linear one, deepinv.physics.LinearPhysics, with its parameters set; noise is left out.
        shape: Of an image, (C, H, W). Measurements that are not of shape (B, c, h, w) become (B, 1, 1, numbers).

    Raises:
        ImportError: deepinv is not installed.
        ValueError: The physics is not linear, or makes something other than one real tensor.
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
    made = physics.A(torch.zeros(1, *shape, device=like.device))
    if not isinstance(made, Tensor) or made.is_complex():
        what = f"numbers of {made.dtype}" if isinstance(made, Tensor) else f"a {type(made).__name__}"
        raise ValueError(f"{type(physics).__name__} makes {what}; give one real tensor, such as torch.view_as_real's")
    own, flat = tuple(made.shape[1:]), made.ndim != 4

    def forward(x: Tensor) -> Tensor:
        y: Tensor = physics.A(x)
        return y.reshape(len(x), 1, 1, -1) if flat else y

    def transpose(y: Tensor) -> Tensor:
        x: Tensor = physics.A_adjoint(y.reshape(len(y), *own))
        return x

    return MatrixFree(forward=forward, transpose=transpose, shape=shape)
