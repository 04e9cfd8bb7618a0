"""Train the network that colours, for chains to start from (python -m training.colorize RUN --data DIR).

AlexNet's features stay as they are; the layers that make colours of them learn. Resumable; a CPU or a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.operators import Colorization
from deqir.operators.colorization import REC_601
from deqir.perceptual import Lpips, load_lpips
from deqir.priors.colorizing import Colorizer, coloured

from .data import Crops
from .starting import Recipe, parser_of, train

SIDES: Final = (200, 250)
"""Least and largest side in pixels of a crop, before it is brought to the size that the network sees."""
GAMMA: Final = 0.2
"""Largest logarithm of the exponent that brightens or darkens a crop."""
SPOILT_SHARE: Final = 0.1
"""Grey images that are softened, and as many with noise, of which the colours are to be the same."""
NOISE: Final = 0.06
"""Strongest of that noise, as a standard deviation of images in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Colorizing:
    """What a `Colorizer` learns.

    Attributes:
        size: Side in pixels at which the network sees a crop.
        dropout: Share of AlexNet's features that are left out at each step: 153 photographs are few.
    """

    size: int = 224
    dropout: float = 0.5
    turns: bool = False
    held: int = 256
    shown: Sequence[str] = ("grey", "coloured")

    def network(self) -> nn.Module:
        network = Colorizer(dropout=self.dropout)
        network.trunk.load_state_dict(load_lpips(device="cpu").convolutions.state_dict())
        network.trunk.requires_grad_(False)
        return network

    def groups(self, network: nn.Module, rate: float) -> Sequence[dict[str, Any]]:
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        return [{"params": learning, "highest": rate}]

    def begin(self, network: nn.Module, crops: Crops, recipe: Recipe) -> None:
        """Nothing is to be prepared."""

    def loss(self, network: nn.Module, crops: Crops, recipe: Recipe, lpips: Lpips) -> Tensor:
        x = self._drawn(crops, recipe)
        grey = Colorization()(x)
        with torch.autocast(x.device.type, torch.bfloat16):
            above = network(_spoilt(grey))
        image = grey + coloured(above.float(), REC_601)
        error = (image - x).square().flatten(1).mean(1)
        return torch.log(error + 3e-3).mean() / 2 + recipe.eyes * torch.log(lpips(image, x) + 0.02).mean()

    def restored(self, network: nn.Module, x: Tensor) -> Mapping[str, Tensor]:
        assert isinstance(network, Colorizer)
        grey = Colorization()(x)
        return {"grey": grey.expand_as(x), "coloured": network.start(grey)}

    def _drawn(self, crops: Crops, recipe: Recipe) -> Tensor:
        """Return crops of photographs at a random scale and brightness, in [-1, 1]."""
        least, most = (math.log(side) for side in SIDES)
        side = round(math.exp(least + (most - least) * float(torch.rand(()))))
        x = crops(recipe.batch, side)
        x = functional.interpolate(x, size=self.size, mode="bilinear", align_corners=False, antialias=side > self.size)
        gamma = (GAMMA * (2 * torch.rand(len(x), 1, 1, 1, device=x.device) - 1)).exp()
        return 2 * x.clamp(0, 1) ** gamma - 1


def _spoilt(grey: Tensor) -> Tensor:
    """Return some of the grey images softened, and some with noise."""
    draw = torch.rand(3, len(grey), 1, 1, 1, device=grey.device)
    soft = functional.interpolate(
        functional.avg_pool2d(grey, 2), size=grey.shape[-2:], mode="bilinear", align_corners=False
    )
    grey = torch.where(draw[0] < SPOILT_SHARE, soft, grey)
    noise = torch.where(draw[1] < SPOILT_SHARE, 2 * NOISE * draw[2], 0.0)
    return grey + noise * torch.randn_like(grey)


def main() -> None:
    parser = parser_of(__doc__, "colorize", batch=8, rate=5e-4, eyes=0.2)
    train(parser.parse_args(), Colorizing())


if __name__ == "__main__":
    main()
