"""Functions of the singular values of an operator that has but one besides 0."""

from __future__ import annotations

from torch import Tensor

from deqir.protocols import Gain, LinearOperator
from deqir.shapes import Float


def two_valued(A: LinearOperator, v: Float[Tensor, "B C H W"], gain: Gain, s: float) -> Float[Tensor, "B C H W"]:
    """Return V gain(s) V^T v of an operator all of whose nonzero singular values are `s`: gain on A^+A, gain(0) off it.

    Args:
        A: The operator.
        v: Images.
        gain: Of the singular values 0 and s; may have a value for each image, shape (B, 1, 1, 1).
        s: The singular value.
    """
    unseen, seen = gain(v.new_zeros(1, 1, 1, 1)), gain(v.new_full((1, 1, 1, 1), s))
    return unseen * v + (seen - unseen) * A.pinv(A(v))
