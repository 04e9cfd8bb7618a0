"""Training of starter networks: the common part of all runs."""

from __future__ import annotations

import argparse
import copy
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from deqir.metrics import psnr
from deqir.models import fetch_model
from deqir.pretrained.lpips import Lpips, load_lpips

from .ahead import Batch, Drawing
from .data import Crops
from .progress import CHECKPOINT, CURVE, Progress, averaged, note, share_of_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The settings of a run, apart from its lesson.

    Attributes:
        hours: Training time in all, resumed runs counted together; the learning rate ends there.
        batch: Crops of a step.
        rate: Highest learning rate.
        eyes: Weight of LPIPS, relative to the logarithm of the squared error.
        rise: Steps until the highest learning rate.
        seed: Seed of crops and noise.
        every: Seconds between validations and checkpoints.
    """

    hours: float
    batch: int
    rate: float
    eyes: float
    rise: int = 100
    seed: int = 0
    every: float = 300


class Lesson(Protocol):
    """The training of one kind of network."""

    @property
    def turns(self) -> bool:
        """True if photographs may be turned by quarters."""
        ...

    @property
    def held(self) -> int:
        """Side in pixels of the validation photographs."""
        ...

    @property
    def shown(self) -> Sequence[str]:
        """Names of the validation's degradations."""
        ...

    def network(self, earlier: Mapping[str, Tensor] | None) -> nn.Module:
        """Return the network at the beginning of a run.

        Args:
            earlier: The averaged weights of an earlier run to go on from; None: no earlier run.
        """
        ...

    def groups(self, network: nn.Module, rate: float) -> Sequence[dict[str, Any]]:
        """Return the trained weights as an optimizer's groups, each with its highest learning rate as "highest"."""
        ...

    def begin(self, network: nn.Module, crops: Crops, recipe: Recipe) -> None:
        """Prepare the network before the first step of a run without an earlier run."""
        ...

    def drawn(self, crops: Crops, recipe: Recipe) -> Batch:
        """Return the batch of a step on the CPU, crops as bytes first; it may be called in another process."""
        ...

    def loss(self, network: nn.Module, batch: Batch, recipe: Recipe, lpips: Lpips) -> Tensor:
        """Return the loss of a step; the batch is on the network's device."""
        ...

    def restored(self, network: nn.Module, x: Tensor) -> Mapping[str, Tensor]:
        """Return the starts for the validation photographs x, for each degradation of `shown`."""
        ...


class Run:
    """A training run in its folder: checkpoint.pt, curve.csv, and the averaged weights in ema.pt.

    Args:
        folder: Made if it is not there; a checkpoint in it is resumed.
        lesson: Training of the kind of network.
        recipe: Settings of the run.
        data: Folder prepared by `training.data`.
        device: Device for training.
        earlier: Folder of an earlier run, whose averaged weights are the beginning; not needed to resume. None: the
            lesson's own beginning.
        workers: Number of processes for drawing batches ahead; 0: they are drawn between the steps.
    """

    def __init__(
        self,
        folder: Path,
        lesson: Lesson,
        recipe: Recipe,
        data: Path,
        *,
        device: torch.device,
        earlier: Path | None = None,
        workers: int = 0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        fetch_model("lpips")
        self.folder, self.lesson, self.recipe, self.lpips = folder, lesson, recipe, load_lpips(device=str(device))
        self.device, self.earlier, self.workers = device, earlier, workers
        resumed = (folder / CHECKPOINT).exists()
        network = lesson.network(None if earlier is None or resumed else averaged(earlier)).to(device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = copy.deepcopy(network).requires_grad_(False).eval()
        groups = lesson.groups(network, recipe.rate)
        self.rates = [group["highest"] for group in groups]  # a checkpoint restores the rates it was written with
        optimizer = torch.optim.Adam(groups, lr=recipe.rate)
        self.progress = Progress(network=network, average=average, optimizer=optimizer)
        self.progress.load(folder, device=device)
        seed = recipe.seed + self.progress.step
        torch.manual_seed(seed)
        self.crops = Crops(data, "train", seed=seed, turns=lesson.turns, device=device)
        self.drawing = Drawing(draw=partial(lesson.drawn, recipe=recipe), data=data, turns=lesson.turns)
        self.held = 2 * Crops(data, "validation", seed=0).centres(lesson.held).to(device) - 1

    def train(self) -> None:
        """Train until the recipe's time is over, writing a checkpoint and a line of the curve now and then."""
        network, batches = self.progress.network, self.batches()
        if self.progress.step == 0:
            (self.folder / CURVE).unlink(missing_ok=True)
            names = [f"{measure} {shown}" for shown in self.lesson.shown for measure in ("psnr", "lpips")]
            note(self.folder, ("step", "seconds", *names))
            if self.earlier is None:
                self.lesson.begin(network, self.crops, self.recipe)
            self.progress.average.load_state_dict(network.state_dict())
            note(self.folder, (0, 0, *self.judged()))
        mark, before, written = time.monotonic(), self.progress.seconds, self.progress.seconds
        total = self.recipe.hours * 3600
        while self.progress.seconds < total:
            self._one_step(next(batches), self.progress.seconds / total)
            self.progress.seconds = before + time.monotonic() - mark
            if self.progress.seconds - written >= self.recipe.every or self.progress.seconds >= total:
                self.progress.save(self.folder)
                note(self.folder, (self.progress.step, round(self.progress.seconds), *self.judged()))
                written = self.progress.seconds

    def batches(self) -> Iterator[Batch]:
        """Return the batches of the steps; the processes for drawing ahead begin now."""
        if self.workers and self.progress.seconds < self.recipe.hours * 3600:
            return self.drawing.ahead(self.workers, pinned=self.device.type == "cuda")
        return self.drawing.endless(self.crops)

    def _one_step(self, batch: Batch, done: float) -> None:
        progress = self.progress
        fall = share_of_rate(progress.step, done, rise=self.recipe.rise, least=0.001)
        for group, highest in zip(progress.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = highest * fall
        near = tuple(part.to(self.device, non_blocking=True) for part in batch)
        loss = self.lesson.loss(progress.network, near, self.recipe, self.lpips)
        progress.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(progress.network.parameters(), 1.0)
        for weight in progress.network.parameters():
            if weight.grad is not None:  # LPIPS has no derivative if all features of a layer are 0
                weight.grad.nan_to_num_(0.0, 0.0, 0.0)
        progress.optimizer.step()
        progress.follow()

    @torch.inference_mode()
    def judged(self) -> list[str]:
        """Return PSNR in dB and LPIPS of the validation photographs, for each of the lesson's degradations."""
        judged = list[str]()
        for image in self.lesson.restored(self.progress.average, self.held).values():
            image = image.clamp(-1, 1)
            judged += [
                f"{float(psnr(image, self.held).mean()):.3f}",
                f"{float(self.lpips(image, self.held).mean()):.4f}",
            ]
        return judged


def begun(network: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return a network with weights of an earlier run.

    Raises:
        ValueError: The weights do not fit the network.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        kind = type(network).__name__
        raise ValueError(f"the earlier run's weights are not of this {kind}; begin with a run of its kind") from error
    return network


def parser_of(
    description: str | None, command: str, *, batch: int, rate: float, eyes: float
) -> argparse.ArgumentParser:
    """Return a parser of the arguments common to all training commands, with these defaults."""
    parser = argparse.ArgumentParser(
        prog=f"python -m training.{command}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="folder of the run; training goes on where its checkpoint stands")
    parser.add_argument("--data", type=Path, required=True, help="folder that training.data prepared")
    parser.add_argument("--hours", type=float, required=True, help="training time in all")
    parser.add_argument("--batch", type=int, default=batch, help=f"crops of a step; default: {batch}")
    parser.add_argument("--rate", type=float, default=rate, help=f"highest learning rate; default: {rate:g}")
    parser.add_argument("--eyes", type=float, default=eyes, help=f"weight of LPIPS in the loss; default: {eyes:g}")
    parser.add_argument("--every", type=float, default=300, help="seconds between checkpoints; default: 300")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    parser.add_argument("--rise", type=int, default=100, help="steps until the rate is there; default: 100")
    parser.add_argument("--begin", type=Path, help="run with whose averaged weights to begin; default: published ones")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw batches ahead; default: 0")
    return parser


def train(options: argparse.Namespace, lesson: Lesson) -> None:
    """Do the run described by a command's arguments."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.threads:
        torch.set_num_threads(options.threads)
    recipe = Recipe(**{name: getattr(options, name) for name in ("hours", "batch", "rate", "eyes", "rise", "every")})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True  # all batches of a run are of one size
    earlier, workers = options.begin, options.workers
    Run(options.run, lesson, recipe, options.data, device=device, earlier=earlier, workers=workers).train()
