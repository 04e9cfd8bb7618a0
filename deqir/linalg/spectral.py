"""Methods that operators share."""

from __future__ import annotations

from torch import Tensor

from deqir.protocols import Gain, LinearOperator
from deqir.shapes import Float


def same_shape(operator: object, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of the image for an operator whose y has the image's shape."""
    channels, height, width = y_shape[-3:]
    return channels, height, width


def two_valued(A: LinearOperator, v: Float[Tensor, "B C H W"], gain: Gain, s: float) -> Float[Tensor, "B C H W"]:
    """Return V gain(s) V^T v if all nonzero singular values are `s`: gain(s) in the range of A^+ A, gain(0) outside.

    `gain` may return a value for each image, shape (B, 1, 1, 1).
    """
    unseen, seen = gain(v.new_zeros(1, 1, 1, 1)), gain(v.new_full((1, 1, 1, 1), s))
    return unseen * v + (seen - unseen) * A.pinv(A(v))
