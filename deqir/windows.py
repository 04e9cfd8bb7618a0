"""How many states of an image are solved together, given what is asked for and how busy the device is."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .settings import Settings


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

    def wide(self, batch: int, images: int) -> int:
        """Return the window with which so many images fill a batch."""
        return max(self.least, min(self.most, batch // images))
