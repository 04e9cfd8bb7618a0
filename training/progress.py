"""The state of a training run: its weights, their average, and the files in its folder."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

EMA: Final = 0.999
CHECKPOINT, AVERAGE, CURVE = "checkpoint.pt", "ema.pt", "curve.csv"


@dataclass(slots=True, kw_only=True)
class Progress:
    """A run's state.

    Attributes:
        network: The network in training.
        average: The moving average of its weights.
        optimizer: Optimizer of the network.
        step, seconds: Steps and training time so far, resumed runs counted together.
    """

    network: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0

    @torch.no_grad()
    def follow(self) -> None:
        """Count a step, and move the average towards the weights, faster in a young run."""
        self.step += 1
        keep = min(EMA, self.step / (self.step + 10))
        for average, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
            average.lerp_(now, 1 - keep)

    def save(self, folder: Path) -> None:
        """Write checkpoint.pt, to be resumed by `load`, and the averaged weights, ema.pt."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        _save(state, folder / CHECKPOINT)
        _save(self.average.state_dict(), folder / AVERAGE)

    def load(self, folder: Path, *, device: torch.device) -> None:
        """Resume from the folder's checkpoint, if there is one."""
        if not (folder / CHECKPOINT).exists():
            return
        state = torch.load(folder / CHECKPOINT, map_location=device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]


def averaged(folder: Path) -> dict[str, Tensor]:
    """Return the averaged weights of a folder's run, on the CPU."""
    weights: dict[str, Tensor] = torch.load(folder / AVERAGE, map_location="cpu", weights_only=True)
    return weights


def share_of_rate(step: int, done: float, *, rise: int, least: float) -> float:
    """Return the share of the highest learning rate: a short rise, then half a cosine.

    Args:
        step: Number of the step, from 0.
        done: Share of the run's time; from 1 on the share is `least`.
        rise: Steps until the highest rate.
        least: The share at the end.
    """
    return min((step + 1) / rise, 1.0) * (least + (1 - least) * (1 + math.cos(math.pi * min(done, 1.0))) / 2)


def note(folder: Path, row: Sequence[object]) -> None:
    """Append a row to the folder's curve.csv, and log it."""
    with (folder / CURVE).open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(row)
    log.info(" ".join(f"{value!s:>7}" for value in row))


def _save(state: object, path: Path) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)
