"""Train the starter network for colorization (python -m training.colorize RUN --data DIR).

AlexNet's features are fixed; the layers from features to colours learn. Resumable; on a CPU or a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from deqir.operators import Colorization
from deqir.operators.colorization import REC_601
from deqir.pretrained.lpips import Lpips, load_lpips
from deqir.priors.starters.colorizing import Colorizer, coloured

from .ahead import Batch
from .data import Crops, as_shares
from .starting import Recipe, begun, parser_of, train

GAMMA: Final = 0.3
"""Largest logarithm of the exponent for brightening or darkening a crop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Colorizing:
    """The training of a `Colorizer`.

    Attributes:
        size: Side of a crop in pixels.
        dropout: Share of AlexNet's features left out at each step, as 153 photographs are few.
    """

    size: int = 224
    dropout: float = 0.5
    turns: bool = False
    held: int = 256
    shown: Sequence[str] = ("grey", "coloured")

    def network(self, earlier: Mapping[str, Tensor] | None) -> nn.Module:
        network = Colorizer(dropout=self.dropout)
        network.trunk.load_state_dict(load_lpips(device="cpu").convolutions.state_dict())
        network.trunk.requires_grad_(False)
        return network if earlier is None else begun(network, earlier)

    def groups(self, network: nn.Module, rate: float) -> Sequence[dict[str, Any]]:
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        return [{"params": learning, "highest": rate}]

    def begin(self, network: nn.Module, crops: Crops, recipe: Recipe) -> None:
        """Do nothing: there is nothing to prepare."""

    def drawn(self, crops: Crops, recipe: Recipe) -> Batch:
        return (crops.pixels(recipe.batch, self.size),)

    def loss(self, network: nn.Module, batch: Batch, recipe: Recipe, lpips: Lpips) -> Tensor:
        (pixels,) = batch
        x = self._lit(as_shares(pixels))
        grey = Colorization()(x)
        with torch.autocast(x.device.type, torch.bfloat16):
            above = network(grey)
        image = grey + coloured(above.float(), REC_601)
        error = (image - x).square().flatten(1).mean(1)
        return torch.log(error + 3e-3).mean() / 2 + recipe.eyes * torch.log(lpips(image, x) + 0.02).mean()

    def restored(self, network: nn.Module, x: Tensor) -> Mapping[str, Tensor]:
        assert isinstance(network, Colorizer)
        grey = Colorization()(x)
        return {"grey": grey.expand_as(x), "coloured": network.make_start(grey)}

    def _lit(self, x: Tensor) -> Tensor:
        """Return images in [0, 1] as images in [-1, 1], some brighter and some darker than before."""
        gamma = (GAMMA * (2 * torch.rand(len(x), 1, 1, 1, device=x.device) - 1)).exp()
        return 2 * x**gamma - 1


def main() -> None:
    parser = parser_of(__doc__, "colorize", batch=8, rate=5e-4, eyes=0.2)
    train(parser.parse_args(), Colorizing())


if __name__ == "__main__":
    main()
