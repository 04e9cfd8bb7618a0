"""Plain stacks of convolutions, the parts of the starter networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from deqir.hardware.fused_convolution import rectified
from deqir.shapes import Float


def stack(channels: Sequence[int]) -> nn.ModuleList:
    """Return 3 x 3 convolutions from each of these numbers of channels to the next."""
    return nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(channels))


def through(layers: nn.ModuleList, h: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
    """Return the output of a stack, with ReLU between its layers."""
    for layer in layers[:-1]:
        assert isinstance(layer, nn.Conv2d)
        h = rectified(layer, h)
    output: Tensor = layers[-1](h)
    return output
