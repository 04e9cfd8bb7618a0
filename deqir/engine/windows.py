"""The window of a round: the number of states of each image to solve together."""

from __future__ import annotations

from dataclasses import dataclass

from deqir.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows of a run.

    Attributes:
        least: States of each image in a round, however many images there are.
        devices: Devices that share a round. Few images get wider windows, so that each device has a state to evaluate.
    """

    least: int
    devices: int = 1

    @classmethod
    def of(cls, settings: Settings, *, replicas: int = 1) -> Windows:
        """Return the windows of a mode, for a network on so many devices.

        `auto` is window 1 on one device: there each guess takes its time, on a CPU and on a GPU (docs/performance.md).
        """
        match settings.mode:
            case "latency" | "paper":
                return cls(least=settings.steps)
            case "auto":
                return cls(least=1, devices=replicas)
            case "throughput":
                return cls(least=1)
            case number:
                return cls(least=min(number, settings.steps))

    def of_images(self, images: int, *, batch: int, steps: int) -> int:
        """Return the window for so many images.

        Args:
            images: Images that could take part in the round.
            batch: Most evaluations in one network call.
            steps: Steps of their longest chain; no window is wider.
        """
        return min(max(self.least, min(self.devices, batch) // images), steps)
