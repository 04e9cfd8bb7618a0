"""How many states of an image are solved together, given what is asked for and how busy the device is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

from deqir.settings import Settings

RUNGS: Final = (1, 3, 4, 6, 8, 12, 16, 24, 32)
"""Windows among which `auto` chooses; wider ones save no more rounds."""

Pace = Callable[[int, int], float]
"""Seconds of a round of so many images with such a window."""


def rounds(steps: int, window: int) -> float:
    """Return about how many rounds a chain takes at the default tolerance and eta, see docs/performance.md."""
    return float(steps) if window == 1 else min(steps, 1 + steps * math.sqrt(2 / window))


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows of a run.

    Attributes:
        least: States of an image in a round while images abound.
        most: States of an image in a round while there is room in the batch.
    """

    least: int
    most: int

    @classmethod
    def of(cls, settings: Settings, device: torch.device, *, replicas: int = 1) -> Windows:
        """Return the windows of a mode on a device.

        `auto` on a CPU is window 1: evaluations in one batch take as long there as one after another, so that
        every guess would displace work. Several replicas of the network do work at the same time.
        """
        side_by_side = device.type != "cpu" or replicas > 1
        match settings.mode:
            case "latency" | "paper":
                least = most = settings.steps
            case "auto":
                least, most = 1, settings.steps if side_by_side else 1
            case "throughput":
                least = most = 1
            case number:
                least = most = min(number, settings.steps)
        return cls(least=least, most=most)

    def wide(self, batch: int, images: int, steps: int, pace: Pace | None = None) -> int:
        """Return the window for so many images: the one with which they fill a batch, at most their steps.

        Where it is known what rounds take and images need no window, it is the one that ends soonest: a batch that is
        filled with guesses may take longer than the rounds that it saves.
        """
        widest = min(max(self.least, min(self.most, batch // images)), steps)
        if pace is None or self.least > 1:
            return widest
        return min(
            (rung for rung in RUNGS if rung <= widest), key=lambda rung: rounds(steps, rung) * pace(images, rung)
        )
