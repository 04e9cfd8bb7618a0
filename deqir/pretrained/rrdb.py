"""The residual-in-residual dense network of Wang et al. (2018) for 4x enlargement, https://arxiv.org/abs/1809.00219."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.shapes import Float

from .ncnn_format import convolutions

SCALE: Final = 4
TILE: Final = 192
"""Side in pixels of the parts of an image given to the network at once."""
MARGIN: Final = 48
"""Pixels given to the network beyond each side of a part; pixels further out change the result by 0.08 levels RMS."""


class _Dense(nn.Module):
    """Five convolutions, each on the input and the outputs of all convolutions before it."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(width + k * growth, growth if k < 4 else width, 3, padding=1) for k in range(5)]
        )

    def forward(self, x: Tensor) -> Tensor:
        found = [x]
        for convolution in self.convolutions[:4]:
            found.append(functional.leaky_relu(convolution(torch.cat(found, 1)), 0.2))
        last: Tensor = self.convolutions[4](torch.cat(found, 1))
        return x + 0.2 * last


class Rrdb(nn.Module):
    """The network, for any number of planes.

    Args:
        planes, made: Number of input and of output planes.
        width, growth, blocks: 64, 32 and 23 in the published network.
    """

    def __init__(self, *, planes: int = 3, made: int = 3, width: int = 64, growth: int = 32, blocks: int = 23) -> None:
        super().__init__()
        self.first = nn.Conv2d(planes, width, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Sequential(*(_Dense(width, growth) for _ in range(3))) for _ in range(blocks))
        self.body = nn.Conv2d(width, width, 3, padding=1)
        self.enlarging = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.fine = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, made, 3, padding=1)

    def through(self, planes: Float[Tensor, "B P h w"]) -> Float[Tensor, "B D H W"]:
        """Return the network's output for planes, `SCALE` times as high and wide."""
        first = x = self.first(planes)
        for block in self.blocks:
            x = x + 0.2 * block(x)
        x = first + self.body(x)
        for convolution in self.enlarging:
            x = functional.leaky_relu(convolution(functional.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        output: Tensor = self.last(functional.leaky_relu(self.fine(x), 0.2))
        return output


def published(blob: bytes, *, network: str) -> Mapping[str, Tensor]:
    """Return the weights of a network of three planes and the published size from a file of ncnn.

    Raises:
        ModelError: The file holds the weights of another network.
    """
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in Rrdb().state_dict().items()}
    return convolutions(blob, shapes, network=network)
