"""Train the starter network for inpainting (python -m training.fill RUN --data DIR).

It begins as FFDNet, whose first layer takes gaps for a little noise. Resumable; on a CPU or a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.operators import masks
from deqir.pretrained.lpips import Lpips
from deqir.priors.starters.filling import MOST_NOISE, Beyond, Filler

from .ahead import Batch
from .data import Crops, as_shares
from .objective import log_error
from .starting import Recipe, begun, parser_of, train
from .train import ffdnet

CLEAN_SHARE: Final = 0.7
"""Share of samples without noise."""
HALF_WEIGHT: Final = 0.3
"""Weight of the error at half the size, relative to full size."""
NEW: Final = 3
"""Learning rate of the new weights, as a multiple of the rate of FFDNet's weights."""
GAP_NOISE: Final = 0.1
"""Noise in each pixel of a gap for which the beginning network takes the gap."""


def beginner(network: nn.Module) -> Filler:
    """Return the network which treats gaps as an `FFDNet` treats noise."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    filler = Filler(width=layers[0].out_channels, depth=len(layers))
    weights = dict(zip(filler.layers.state_dict(prefix="layers."), network.state_dict().values(), strict=True))
    image, noise = weights["layers.0.weight"][:, :12], weights["layers.0.weight"][:, 12:]
    weights["layers.0.weight"] = torch.cat([image, GAP_NOISE / 12 * noise.expand_as(image), noise], 1)
    filler.load_state_dict(filler.state_dict() | weights)
    for added in filler.modules():
        if isinstance(added, Beyond):  # adds nothing yet
            last = (cast("nn.ModuleList", block)[-1] for block in added.blocks)
            for layer in (added.up, *last):
                for parameter in layer.parameters():
                    nn.init.zeros_(parameter)
    return filler


def gaps(side: int) -> Tensor:
    """Return a random mask, (3, side, side), true where a pixel is kept; drawn from torch's own generator."""
    kinds: Sequence[tuple[float, Callable[[int], Tensor]]] = (
        (0.20, _random),
        (0.22, _stripes),
        (0.05, lambda n: masks.dead_lines(n, n, lost=_between(0.05, 0.5), vertical=_coin(), seed=_seed())),
        (0.14, _text),
        (0.08, lambda n: masks.scratches(n, n, count=_whole(1, 12), thickness=_whole(1, 5), seed=_seed())),
        (0.19, _boxes),
        (0.07, lambda n: masks.box(n, n, side=_between(0.19, 0.56), seed=_seed())),
        (0.05, lambda n: torch.stack([_random(n) for _ in range(3)])),
    )
    shares = torch.tensor([share for share, _ in kinds])
    keep = kinds[int(torch.multinomial(shares, 1))][1](side)
    return (keep.mT if _coin() else keep).expand(3, side, side)


def _random(side: int) -> Tensor:
    return masks.random(side, side, lost=_between(0.2, 0.9), seed=_seed())


def _stripes(side: int) -> Tensor:
    period = _whole(3, 14)
    half, any_share = (period + _whole(0, 1)) // 2, _whole(1, max(1, int(0.6 * period)))
    keep = masks.stripes(side, side, period=period, thickness=half if _coin() else any_share)
    return keep.roll(_whole(0, period), 0)


def _text(side: int) -> Tensor:
    return _lines_of_text(side, _whole(8, 24)).roll((_whole(0, side), _whole(0, side)), (0, 1))


@lru_cache
def _lines_of_text(side: int, size: int) -> Tensor:
    return masks.text(side, side, size=size)


def _boxes(side: int) -> Tensor:
    holes = [masks.box(side, side, side=_between(0.03, 0.5), seed=_seed()) for _ in range(_whole(1, 6))]
    return torch.stack(holes).all(0)


def _between(least: float, most: float) -> float:
    return least + (most - least) * float(torch.rand(()))


def _whole(least: int, most: int) -> int:
    return int(torch.randint(least, most + 1, ()))


def _coin() -> bool:
    return bool(torch.rand(()) < 0.5)


def _seed() -> int:
    return _whole(0, 2**31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """The training of a `Filler`.

    Attributes:
        size: Side of a crop in pixels; even.
    """

    size: int = 128
    turns: bool = True
    held: int = 192
    shown: Sequence[str] = ("text", "random", "stripes", "hole", "text with noise")

    def network(self, earlier: Mapping[str, Tensor] | None) -> nn.Module:
        network = beginner(ffdnet())
        return network if earlier is None else begun(network, {**network.state_dict(), **earlier})

    def groups(self, network: nn.Module, rate: float) -> Sequence[dict[str, Any]]:
        assert isinstance(network, Filler)
        return [
            {"params": list(network.layers.parameters()), "highest": rate},
            {"params": list(network.beyond.parameters()), "highest": NEW * rate},
        ]

    def begin(self, network: nn.Module, crops: Crops, recipe: Recipe) -> None:
        """Do nothing: there is nothing to prepare."""

    def drawn(self, crops: Crops, recipe: Recipe) -> Batch:
        pixels = crops.pixels(recipe.batch, self.size)
        return pixels, torch.stack([gaps(self.size) for _ in pixels])

    def loss(self, network: nn.Module, batch: Batch, recipe: Recipe, lpips: Lpips) -> Tensor:
        assert isinstance(network, Filler)
        pixels, keep = batch
        x = 2 * as_shares(pixels) - 1
        clean = torch.rand(len(x), device=x.device) < CLEAN_SHARE
        noise = torch.where(clean, 0.0, MOST_NOISE * torch.rand(len(x), device=x.device))
        y = x + 2 * noise[:, None, None, None] * torch.randn_like(x)
        with torch.autocast(x.device.type, torch.bfloat16):
            filled = network.fill(y, keep, noise)
        loss = log_error(filled[0], x).mean() + recipe.eyes * torch.log(lpips(filled[0].float(), x) + 1e-3).mean()
        for coarse in filled[1:]:
            loss = loss + HALF_WEIGHT * log_error(coarse, functional.avg_pool2d(x, 2)).mean()
        return loss

    def restored(self, network: nn.Module, x: Tensor) -> Mapping[str, Tensor]:
        assert isinstance(network, Filler)
        side = self.held
        kept = {
            "text": masks.text(side, side),
            "random": masks.random(side, side, lost=0.7),
            "stripes": masks.stripes(side, side, period=6, thickness=3),
            "hole": masks.box(side, side, side=1 / 3),
        }
        found = {name: network.make_start(x, keep, 0.0) for name, keep in kept.items()}
        white = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(x)
        return found | {"text with noise": network.make_start(x + 20 / 255 * white, kept["text"], 20 / 255)}


def main() -> None:
    parser = parser_of(__doc__, "fill", batch=6, rate=1e-4, eyes=0.5)
    parser.add_argument("--size", type=int, default=128, help="side of a crop in pixels; default: 128")
    options = parser.parse_args()
    if options.size % 2:
        parser.error(f"--size must be even, got {options.size}: crops are halved")
    train(options, Filling(size=options.size))


if __name__ == "__main__":
    main()
