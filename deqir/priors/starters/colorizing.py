"""The starter network for colorization: chains start from its colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.hardware.fused_convolution import rectified
from deqir.networks.alexnet import WIDTHS, features, trunk
from deqir.operators.colorization import REC_601
from deqir.shapes import Float

SHORT: Final = 256
"""Largest shorter side of the network's input in pixels; larger images are made smaller for it."""
LONG: Final = 1024
"""Largest longer side of the network's input; longer images are made smaller for it, too."""
LEAST: Final = 64
"""Smallest side of the network's input; smaller images are made larger for it."""
MULTIPLE: Final = 16
SEEN: Final = (0, 1, 2, 4)
"""Layers of AlexNet with features used by the network."""
LOOKS: Final = (32, 48, 64, 96)
"""Numbers taken from each place of each of these layers."""
RADIUS, SOFTNESS = 4, 1e-3
"""Half a window's side, and the variance of an edge, in the guided filter for larger images."""


class Colorizer(nn.Module):
    """The colours of a grey image, from AlexNet's features of its content and a few more layers.

    It reads features of several layers at a quarter of the image's size, as the hypercolumns of Larsson et al.,
    "Learning Representations for Automatic Colorization" (2016), https://arxiv.org/abs/1603.06668.

    Args:
        dropout: Share of the features left out in training.
    """

    def __init__(self, *, width: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        self.trunk = trunk()
        self.looks = nn.ModuleList(nn.Conv2d(WIDTHS[layer], look, 1) for layer, look in zip(SEEN, LOOKS, strict=True))
        self.whole = nn.Linear(WIDTHS[-1], LOOKS[-1])
        self.dropout = nn.Dropout2d(dropout)
        self.body = nn.ModuleList(
            [
                nn.Conv2d(sum(LOOKS) + LOOKS[-1] + 16, width, 3, padding=1),
                nn.Conv2d(width, width, 3, padding=2, dilation=2),
                nn.Conv2d(width, width, 3, padding=4, dilation=4),
                nn.Conv2d(width, width, 3, padding=1),
            ]
        )
        self.last = nn.Conv2d(width, 2 * 16, 3, padding=1)
        nn.init.zeros_(self.last.weight)  # training begins with grey images
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, grey: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B 2 H W"]:
        """Return red and blue minus the grey value, for images in [-1, 1] with sides divisible by 4."""
        size = (grey.shape[-2] // 4, grey.shape[-1] // 4)
        seen = features(self.trunk, grey.expand(-1, 3, -1, -1))
        planes = list[Tensor]()
        for layer, look in zip(SEEN, self.looks, strict=True):
            found = functional.relu(look(self.dropout(seen[layer])))
            planes.append(functional.interpolate(found, size=size, mode="bilinear", align_corners=False))
        whole = functional.relu(self.whole(seen[-1].mean((2, 3))))
        planes += [whole[:, :, None, None].expand(-1, -1, *size), functional.pixel_unshuffle(grey, 4)]
        first, *others = (layer for layer in self.body if isinstance(layer, nn.Conv2d))
        h = rectified(first, torch.cat(planes, 1))
        for convolution in others:
            h = h + rectified(convolution, h)
        return functional.pixel_shuffle(self.last(h), 4)

    def make_start(
        self, y: Float[Tensor, "B 1 H W"], weights: tuple[float, float, float] = REC_601
    ) -> Float[Tensor, "B 3 H W"]:
        """Return y in colour, on y's device; the weighted sum of the colours is y.

        Args:
            y: Grey images in [-1, 1].
            weights: Weights of red, green and blue; see `Colorization`.
        """
        home = next(self.parameters()).device
        grey = y.to(home, torch.float32)
        size = _seen_size(grey.shape[-2:])
        if size == grey.shape[-2:]:
            above = self(grey)
        else:
            small = functional.interpolate(grey, size=size, mode="bilinear", align_corners=False, antialias=True)
            above = guided(grey, small, self(small))
        return y + coloured(above, weights).to(y)


def coloured(above: Float[Tensor, "B 2 H W"], weights: Sequence[float]) -> Float[Tensor, "B 3 H W"]:
    """Return the offsets of red, green and blue from grey, given red's and blue's; their weighted sum is 0.

    Other weights than Rec. 601's leave the colours and shift all channels alike; green's weight may be 0.
    """
    red, blue = above[:, :1], above[:, 1:]
    green = -(REC_601[0] * red + REC_601[2] * blue) / REC_601[1]
    return torch.cat([red, green, blue], 1) - (weights[0] * red + weights[1] * green + weights[2] * blue)


def guided(
    grey: Float[Tensor, "B 1 H W"], small: Float[Tensor, "B 1 h w"], planes: Float[Tensor, "B P h w"]
) -> Float[Tensor, "B P H W"]:
    """Return planes of a small image enlarged to the size of the large image, with edges where it has edges.

    The fast guided filter of He and Sun (2015), https://arxiv.org/abs/1505.00996: in each window the planes are fitted
    by a linear function of the small image, and this function is applied to the large image.
    """
    shift, scale = _mean(small), _mean(planes)
    spread = _mean(small.square()) - shift.square()
    slope = (_mean(small * planes) - shift * scale) / (spread + SOFTNESS)
    lines = _mean(torch.cat([slope, scale - slope * shift], 1))
    lines = functional.interpolate(lines, size=grey.shape[-2:], mode="bilinear", align_corners=False)
    slope, offset = lines.chunk(2, 1)
    return slope * grey + offset


def _mean(planes: Tensor) -> Tensor:
    return functional.avg_pool2d(planes, 2 * RADIUS + 1, stride=1, padding=RADIUS, count_include_pad=False)


def _seen_size(size: Sequence[int]) -> tuple[int, int]:
    """Return the size of the network's input for an image of this size."""
    share = min(max(min(size), LEAST), SHORT) / min(size)
    share = min(share, LONG / max(size))
    height, width = (max(LEAST, round(share * side / MULTIPLE) * MULTIPLE) for side in size)
    return height, width
