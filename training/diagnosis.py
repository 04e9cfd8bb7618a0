"""Train the networks of the diagnosis (python -m training.diagnosis --data DIR): a quarter of an hour of a core."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ImageFilter
from safetensors.torch import save_file
from torch import Tensor, nn

from deqir.estimation.diagnosis.damages import LUMA_OF_OWN, SHIFT
from deqir.estimation.diagnosis.learned import FARTHEST, WEIGHTS
from deqir.estimation.diagnosis.marks import kind_numbers
from deqir.estimation.diagnosis.spectra import spectral_numbers
from deqir.estimation.jpeg import estimate_jpeg, quantisation

from .chains import Chain, Damaged, compressed, damaged, draw_chain, image_of, levels_of
from .data import INDEX, PIXELS, Picture
from .graphics import Kind, draw

log = logging.getLogger(__name__)

SIDES: Final = (48, 64, 96, 128, 160, 192, 224, 256, 320)
KIND_SIDES: Final = (48, 64, 64, 96, 128, 192, 256, 384, 512)
KINDS: Final[tuple[Kind, ...]] = ("text", "graphics", "flat")
QUANTILES: Final = (0.03, 0.5, 0.97)
"""Ends of the intervals and the value; the ends are wider than nine in ten, for other photographs than trained on."""
TABLE_UNKNOWN: Final = 0.15
"""Share of the JPEGs whose table is taken from the pixels."""
SEEN: Final = 2.0
"""Noise in levels from which the training learns its grain."""
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Photographs:
    """The training photographs, at all of their scales."""

    pictures: dict[str, list[Picture]]
    pixels: NDArray[np.uint8]

    @classmethod
    def open(cls, folder: Path, *, split: str = "train") -> Photographs:
        pictures = dict[str, list[Picture]]()
        for row in json.loads((folder / INDEX).read_text(encoding="utf-8")):
            if row["split"] == split:
                pictures.setdefault(row["photograph"], []).append(Picture(**row))
        return cls(pictures, np.memmap(folder / PIXELS, dtype=np.uint8, mode="r"))

    def crop(self, random: Random, side: int, *, largest_scale: float = 1.0) -> Tensor:
        """Return a part of a photograph in levels, shape (3, H, W), with sides of at most `side`."""
        some = self.pictures[str(random.choice(sorted(self.pictures)))]
        fitting = [picture for picture in some if picture.scale <= largest_scale] or some[-1:]
        picture = fitting[int(random.integers(len(fitting)))]
        height, width = min(side, picture.height), min(side, picture.width)
        top, left = (int(random.integers(n)) for n in (picture.height - height + 1, picture.width - width + 1))
        flat = self.pixels[picture.offset : picture.offset + picture.height * picture.width * 3]
        whole = np.asarray(flat).reshape(picture.height, picture.width, 3)
        part = torch.from_numpy(whole[top : top + height, left : left + width].copy()).permute(2, 0, 1).float()
        return part.flip(-1) if random.random() < 0.5 else part


def chains(photographs: Photographs, random: Random, count: int) -> Iterator[tuple[Chain, Damaged, Tensor | None]]:
    """Yield random chains, their results, and the numbers of the results; None if an image shows too little."""
    for _ in range(count):
        chain = draw_chain(random)
        side = int(random.choice(SIDES) / chain.shrink)
        result = damaged(photographs.crop(random, side, largest_scale=0.5), chain, random)
        levels, table = result.levels, result.table
        if chain.cut != (0, 0) or random.random() < TABLE_UNKNOWN:
            found = estimate_jpeg(levels / 127.5 - 1)
            table = quantisation(found.quality) if found else None
            top, left = found.offset if found else (0, 0)
            levels = levels[:, top:, left:]
        yield chain, result, spectral_numbers(levels, table)


def truth(chain: Chain, result: Damaged) -> Tensor:
    """Return the targets of the damage network: noise of luma and of a channel, blur, grain."""
    own = chain.noise in ("white", "shot") and not chain.grey
    channel = result.luma_noise / (LUMA_OF_OWN if own else 1.0)
    return torch.tensor([np.log(result.luma_noise + SHIFT), np.log(channel + SHIFT), chain.blur, chain.grain])


def pictures(photographs: Photographs, random: Random, count: int) -> Iterator[tuple[int, Tensor]]:
    """Yield the class (0: photograph) and the numbers of photographs and of drawn pictures."""
    for _ in range(count):
        kind = int(random.choice(4, p=[0.5, 0.22, 0.18, 0.1]))
        levels = _photograph(photographs, random) if not kind else _drawn(KINDS[kind - 1], photographs, random)
        levels = levels.round().clamp(0, 255)
        if random.random() < 0.55:
            quality = int(random.integers(20 if not kind else 50, 98))
            levels, _ = compressed(levels, quality, halved=random.random() < 0.7)
        yield kind, kind_numbers(levels)


def _photograph(photographs: Photographs, random: Random) -> Tensor:
    """Return a photograph: also in grey, dark, in fog, of high contrast, blurred, noisy."""
    levels = photographs.crop(random, int(random.choice(KIND_SIDES)))
    if random.random() < 0.25:
        levels = levels_of(image_of(levels).convert("L"))
    light = random.random()
    if light < 0.15:
        levels = levels * random.uniform(0.15, 0.6)
    elif light < 0.3:
        levels = levels * (contrast := random.uniform(0.2, 0.6)) + random.uniform(100, 255 * (1 - contrast))
    elif light < 0.4:
        levels = (levels - 128) * random.uniform(1.2, 2) + 128
    if random.random() < 0.2:
        levels = _soft(levels, random.uniform(0.5, 3))
    return _noisy(levels, random.uniform(1, 20), random) if random.random() < 0.2 else levels


def _drawn(kind: Kind, photographs: Photographs, random: Random) -> Tensor:
    """Return a drawn picture: also blurred, unevenly lit or noisy, as by a scanner."""
    width, height = (int(each) for each in random.choice((48, 64, 96, 128, 160, 192, 256, 320, 400), 2))
    levels = levels_of(draw(kind, (width, height), random, image_of(photographs.crop(random, 256))))
    if kind != "flat" and random.random() < 0.2:
        levels = _soft(levels, random.uniform(0.3, 1.1))
    if kind == "text" and random.random() < 0.2:
        levels = levels * torch.linspace(random.uniform(0.6, 1), 1, levels.shape[2])
    most = 3 if kind == "flat" else 7
    return _noisy(levels, random.uniform(0.5, most), random) if random.random() < 0.3 else levels


def _soft(levels: Tensor, width: float) -> Tensor:
    return levels_of(image_of(levels).filter(ImageFilter.GaussianBlur(width)))


def _noisy(levels: Tensor, level: float, random: Random) -> Tensor:
    return levels + level * torch.from_numpy(random.standard_normal(levels.shape)).float()


def fitted(
    numbers: Tensor, targets: Tensor, *, kind: bool, weights: Tensor | None = None, epochs: int = 60
) -> dict[str, Tensor]:
    """Return the weights of a network: of quantiles of real targets, or of classes."""
    torch.manual_seed(0)
    mean, scale = numbers.mean(0), numbers.std(0).clamp(min=0.05)
    inputs = ((numbers - mean) / scale).clamp(-FARTHEST, FARTHEST)
    outputs = 4 if kind else targets.shape[1] * len(QUANTILES)
    sizes = (inputs.shape[1], *((64, 32) if kind else (128, 64)), outputs)
    layers = list[nn.Module]()
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.GELU(), nn.Dropout(0.15)]
    network = nn.Sequential(*layers[:-2])
    output_mean, output_scale = (torch.zeros(1), torch.ones(1)) if kind else (targets.mean(0), targets.std(0))
    batch, levels = 128, torch.tensor(QUANTILES)
    steps = epochs * len(inputs) // batch
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        drawn = torch.randint(len(inputs), (batch,))
        found = network(inputs[drawn] + 0.07 * torch.randn(batch, inputs.shape[1]))
        if kind:
            loss = nn.functional.cross_entropy(found, targets[drawn], label_smoothing=0.01)
        else:
            error = ((targets[drawn] - output_mean) / output_scale)[..., None] - found.unflatten(
                1, (-1, len(QUANTILES))
            )
            pinball = torch.maximum(levels * error, (levels - 1) * error).mean(-1)
            loss = (pinball if weights is None else pinball * weights[drawn]).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    repeats = 1 if kind else len(QUANTILES)
    stored = {
        "mean": mean,
        "scale": scale,
        "output_mean": output_mean.repeat_interleave(repeats),
        "output_scale": output_scale.repeat_interleave(repeats),
    }
    for place, layer in enumerate(linear):
        stored |= {f"{place}.weight": layer.weight.detach(), f"{place}.bias": layer.bias.detach()}
    return stored


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.diagnosis", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder written by training.data")
    parser.add_argument("--chains", type=int, default=9_000, help="degraded photographs to learn damages from")
    parser.add_argument("--pictures", type=int, default=7_000, help="pictures to learn kinds from")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    photographs, random = Photographs.open(options.data), np.random.default_rng(0)
    rows = [(numbers, truth(chain, result)) for chain, result, numbers in chains(photographs, random, options.chains)]
    told = [(numbers, target) for numbers, target in rows if numbers is not None]
    log.info("%d of %d chains show enough", len(told), len(rows))
    numbers, targets = (torch.stack(list(each)) for each in zip(*told, strict=True))
    weights = torch.ones_like(targets)
    weights[:, 3] = (targets[:, 0].exp() - SHIFT > SEEN).float()
    stored = {f"damage.{name}": value for name, value in fitted(numbers, targets, kind=False, weights=weights).items()}
    classes = list(pictures(photographs, random, options.pictures))
    labels = torch.tensor([label for label, _ in classes])
    stored |= {
        f"kind.{name}": value
        for name, value in fitted(torch.stack([row for _, row in classes]), labels, kind=True).items()
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in stored.items()}, options.out)
    log.info("%s written", options.out)


if __name__ == "__main__":
    main()
