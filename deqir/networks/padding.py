"""Padding of images at the bottom and at the right, for networks limited to some sizes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from deqir.shapes import Float


def reflected(x: Float[Tensor, "N C H W"], down: int, right: int) -> Float[Tensor, "N C H1 W1"]:
    """Extend by reflection, which keeps the statistics of noise; sides shorter than the pad repeat their edge."""
    if not down and not right:
        return x
    mode = "reflect" if down < x.shape[-2] and right < x.shape[-1] else "replicate"
    return functional.pad(x, (0, right, 0, down), mode=mode)
