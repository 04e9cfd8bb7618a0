"""Train a pyramid prior (python -m training.train RUN --data DIR): resumable, on a CPU, a GPU or several."""

from __future__ import annotations

import argparse
import copy
import logging
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from deqir.networks.pyramid import PyramidDenoiser
from deqir.priors import Prior, fetch_prior, load_prior

from .data import Crops
from .objective import Objective, draw_noise
from .progress import CURVE, Progress, note, share_of_rate

LEVELS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0)
"""Noise at which the validation photographs are denoised, as standard deviations of images in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The settings of a training run.

    Attributes:
        hours: Training time in all, resumed runs counted together; the learning rate ends there.
        batch, size: Crops of a step on each device, and their side in pixels.
        coarse_size: Side of the crops of every other step, which trains the coarser scales alone, in pixels before
            pooling; 0: no such steps.
        rate: Highest learning rate.
        rise: Steps until the highest learning rate.
        architecture: Arguments of `PyramidDenoiser`.
        warm: Start with FFDNet's own weights (MIT), fixed; only the correctors learn.
        seed: Seed of weights, crops and noise.
        every: Seconds between validations and checkpoints.
        crop: Side of the validation crops in pixels.
    """

    hours: float
    batch: int = 4
    size: int = 128
    coarse_size: int = 192
    rate: float = 4e-4
    rise: int = 200
    architecture: dict[str, int] = field(default_factory=dict)
    warm: bool = True
    seed: int = 0
    every: float = 300
    crop: int = 192


def build(recipe: Recipe) -> PyramidDenoiser:
    """Return the network at the beginning of a run."""
    torch.manual_seed(recipe.seed)
    network = PyramidDenoiser(**recipe.architecture)
    if recipe.warm:
        fetch_prior("ffdnet")
        network.ffdnet.load_state_dict(ffdnet().state_dict())
        network.ffdnet.requires_grad_(False)
    return network


def ffdnet() -> nn.Module:
    """Return FFDNet's network, the yardstick."""
    return network_of(load_prior("ffdnet", device="cpu"))


def network_of(prior: Prior) -> nn.Module:
    """Return the network of a prior made of a plain denoiser."""
    denoiser: Any = prior.denoiser
    network: nn.Module = denoiser.network
    return network


def rate_at(recipe: Recipe, step: int, seconds: float) -> float:
    """Return the learning rate: a short rise, then half a cosine until the end of the run's time."""
    return recipe.rate * share_of_rate(step, seconds / (recipe.hours * 3600), rise=recipe.rise, least=0.005)


@torch.inference_mode()
def denoising_psnr(network: nn.Module, clean: Tensor, *, max_noise: float = math.inf) -> list[float]:
    """Return the mean PSNR in dB over the images at each of `LEVELS`, results clipped to [0, 1]."""
    found = list[float]()
    for level in LEVELS:
        total = 0.0
        for n in range(len(clean)):
            image = clean[n : n + 1]
            generator = torch.Generator().manual_seed(n)
            noisy = image + level * torch.randn(image.shape, generator=generator).to(clean.device)
            sigma = torch.full((1,), min(level, max_noise), device=clean.device)
            error = network(noisy, sigma).clamp(0, 1) - image
            total -= 10 * math.log10(float(error.square().mean()))
        found.append(total / len(clean))
    return found


class Run:
    """A training run in its folder: checkpoint.pt, curve.csv, and the averaged weights in ema.pt.

    Args:
        folder: Made if it is not there; a checkpoint in it is resumed.
        recipe: Settings of the run.
        data: Folder prepared by `training.data`.
        device: Device of this process.
        rank: Number of this process; process 0 writes the files.
    """

    def __init__(self, folder: Path, recipe: Recipe, data: Path, *, device: torch.device, rank: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.recipe, self.rank = folder, recipe, rank
        self.network = build(recipe).to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = copy.deepcopy(self.network).requires_grad_(False).eval()
        optimizer = torch.optim.Adam(self._learning(), lr=recipe.rate)
        self.progress = Progress(network=self.network, average=average, optimizer=optimizer)
        self.progress.load(folder, device=device)
        seed = 1_000_003 * self.progress.step + 1009 * rank + recipe.seed
        self.crops = Crops(data, "train", seed=seed)
        self.random = torch.Generator().manual_seed(seed)
        self.objective: nn.Module = Objective(self.network)
        if distributed.is_initialized():
            self.objective = DistributedDataParallel(self.objective, find_unused_parameters=True)
        self.held = Crops(data, "validation", seed=0).centres(recipe.crop).to(device)
        self.device = device

    def train(self) -> None:
        """Train until the recipe's time is over, writing a checkpoint and a line of the curve now and then."""
        if self.progress.step == 0 and self.rank == 0:
            self._write_head()
        mark, before, losses = time.monotonic(), self.progress.seconds, list[float]()
        written, total = self.progress.seconds, self.recipe.hours * 3600
        while self.progress.seconds < total:
            losses.append(self._one_step())
            self.progress.seconds = before + time.monotonic() - mark
            if distributed.is_initialized():
                shared = torch.tensor(self.progress.seconds, device=self.device)
                distributed.broadcast(shared, 0)
                self.progress.seconds = float(shared)
            if self.progress.seconds - written >= self.recipe.every or self.progress.seconds >= total:
                if self.rank == 0:
                    self._write(sum(losses) / len(losses))
                losses.clear()
                written = self.progress.seconds

    def _one_step(self) -> float:
        rate = rate_at(self.recipe, self.progress.step, self.progress.seconds)
        for group in self.progress.optimizer.param_groups:
            group["lr"] = rate
        first = self.progress.step % 2 if self.recipe.coarse_size else 0
        clean = self.crops(self.recipe.batch, self.recipe.coarse_size if first else self.recipe.size)
        if first:
            clean = functional.avg_pool2d(clean, 2)
        white = torch.randn(clean.shape, generator=self.random)
        sigma = draw_noise(len(clean), self.random, first=first)
        loss = self.objective(*(part.to(self.device) for part in (clean, white, sigma)), first)
        self.progress.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.progress.optimizer.step()
        self.progress.follow()
        return float(loss.detach())

    def _learning(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def _write_head(self) -> None:
        names = ["step", "seconds", "rate", "loss", *(f"psnr_{level:g}" for level in LEVELS)]
        (self.folder / CURVE).unlink(missing_ok=True)
        note(self.folder, names)
        if self.recipe.warm:
            yardstick = load_prior("ffdnet", device="cpu").max_noise
            network = ffdnet().to(self.device)
            self._row(["ffdnet", "", "", ""], denoising_psnr(network, self.held, max_noise=yardstick))
        self._row([0, 0, "", ""], denoising_psnr(self.progress.average, self.held))

    def _write(self, loss: float) -> None:
        progress = self.progress
        rate = rate_at(self.recipe, progress.step, progress.seconds)
        progress.save(self.folder)
        start = [progress.step, round(progress.seconds), f"{rate:.2e}", f"{loss:.4f}"]
        self._row(start, denoising_psnr(progress.average, self.held))

    def _row(self, start: list[Any], psnr: list[float]) -> None:
        note(self.folder, [*start, *(f"{value:.3f}" for value in psnr)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run; training goes on where its checkpoint stands")
    parser.add_argument("--data", type=Path, required=True, help="folder that training.data prepared")
    parser.add_argument("--hours", type=float, required=True, help="training time in all")
    parser.add_argument("--batch", type=int, default=4, help="crops of a step on each device")
    parser.add_argument("--size", type=int, default=128, help="side of a crop in pixels")
    parser.add_argument("--coarse-size", type=int, default=192, help="side of a crop of the coarse steps; 0: none")
    parser.add_argument("--rate", type=float, default=4e-4, help="highest learning rate")
    parser.add_argument("--width", type=int, default=64, help="channels of the finest corrector")
    parser.add_argument("--coarse-width", type=int, default=96, help="channels of the coarser correctors")
    parser.add_argument("--every", type=float, default=300, help="seconds between checkpoints")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.threads:
        torch.set_num_threads(options.threads)
    rank = int(os.environ.get("RANK", "0"))
    cuda = torch.cuda.is_available()
    if "WORLD_SIZE" in os.environ:
        distributed.init_process_group("nccl" if cuda else "gloo")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    recipe = Recipe(
        architecture={"width": options.width, "coarse_width": options.coarse_width},
        **{name: getattr(options, name) for name in ("hours", "batch", "size", "coarse_size", "rate", "every")},
    )
    Run(options.run, recipe, options.data, device=device, rank=rank).train()


if __name__ == "__main__":
    main()
