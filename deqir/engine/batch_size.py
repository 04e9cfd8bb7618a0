"""The size of a network call: set by the user, or measured on the device, and halved when memory runs out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from deqir.hardware.memory import FEW_CALLS, MOST_PIXELS, out_of_memory
from deqir.priors.prior import Prior
from deqir.protocols import Denoiser
from deqir.settings import Settings

from .requests import Request, Shape
from .tiling import Tilings

LARGEST: Final = 1024
WORTHWHILE: Final = 1.1
"""A larger batch is chosen if it is this many times as fast per evaluation."""
ROUND: Final = 4e-4
"""Seconds of a round beside its network call, for any number of images (docs/performance.md)."""
TIMED: Final = 0.02
"""Seconds of repeated calls of one size, in which the device's clock has time to rise."""
MEMORY_SHARE: Final = 0.5
"""Share of the device's memory for one network call; the rest is for states."""

Seconds = Callable[[int], float]
"""Returns the seconds of a network call with so many evaluations; raises if memory runs out."""


class BatchSize:
    """Most evaluations in one network call, for images of any shape; it halves when memory runs out.

    Unknown until `fix` or `measure` was called.
    """

    def __init__(self) -> None:
        self._fixed: int | None = None
        self._pixels: int | None = None

    @property
    def known(self) -> bool:
        return self._fixed is not None or self._pixels is not None

    def of(self, shape: Shape) -> int:
        """Return the most evaluations of images of this shape in one call, at least 1."""
        fitting = None if self._pixels is None else max(1, self._pixels // (shape[-2] * shape[-1]))
        bounds = [bound for bound in (self._fixed, fitting) if bound is not None]
        if not bounds:
            raise RuntimeError("the batch size has not been measured")
        return min(bounds)

    def fix(self, evaluations: int) -> None:
        """Allow this many evaluations a call, of images of any shape."""
        self._fixed = evaluations

    def measure(self, shape: Shape, seconds: Seconds) -> None:
        """Find the size for this shape; the sizes for other shapes follow from their pixels."""
        self._pixels = saturating(seconds) * shape[-2] * shape[-1]

    def halve(self, shape: Shape, evaluations: int) -> bool:
        """Allow half the pixels of `evaluations`, which were too many, from now on; False if it was one evaluation."""
        if evaluations < 2:
            return False
        self._pixels = evaluations // 2 * shape[-2] * shape[-1]
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSizes:
    """The batch sizes of an engine, by the shape of its images.

    Attributes:
        a_call: The size of a network call; fixed or measured at the first image.
    """

    prior: Prior | Denoiser
    settings: Settings
    tilings: Tilings
    a_call: BatchSize

    @property
    def replicas(self) -> int:
        """Devices among which the network divides its work."""
        return self.prior.replicas if isinstance(self.prior, Prior) else 1

    def of(self, request: Request[Any]) -> int:
        """Return the most evaluations of such an image in one network call, whole or in tiles."""
        shape, device = request.shape, self.device_of(request)
        if not self.a_call.known:
            fixed = self.settings.denoiser_batch or (self.replicas if device.type == "cpu" else None)
            if fixed is None:
                seen = self.tilings.seen(shape)
                self.a_call.measure(seen, timed_calls(self.prior, seen, dtype=request.y.dtype, device=device))
            else:
                self.a_call.fix(fixed)
        return max(1, self.of_a_call(shape) // self._tiles(shape))

    def of_a_call(self, image: Shape) -> int:
        """Return the most images of a shape, or tiles of them, in one network call."""
        tiling = self.tilings.of(image)
        if not self.a_call.known or (tiling is not None and tiling.scarce):
            return 1
        return self.a_call.of(self.tilings.seen(image))

    def halve(self, image: Shape, evaluations: int) -> bool:
        """Allow half of so many evaluations of images of a shape in a call, from now on; False if it was one."""
        tiles = min(evaluations * self._tiles(image), self.of_a_call(image))
        return self.a_call.known and self.a_call.halve(self.tilings.seen(image), tiles)

    def device_of(self, request: Request[Any]) -> torch.device:
        """Return the device of an image's chain."""
        return device_of_chain(self.prior, self.settings, request.y)

    def _tiles(self, image: Shape) -> int:
        tiling = self.tilings.of(image)
        return tiling.count(image) if tiling else 1


def device_of_chain(prior: Prior | Denoiser, settings: Settings, y: Tensor) -> torch.device:
    """Return the device on which the chain of y is computed."""
    return settings.device or (prior.device if isinstance(prior, Prior) else y.device)


def saturating(seconds: Seconds) -> int:
    """Return the smallest batch of 1, 2, 4, ...; batches two or four times as large are hardly faster.

    The search ends at the first batch too large for memory.
    """
    best, pace, size = 1, math.inf, 1
    while size <= min(LARGEST, 4 * best):
        try:
            now = (seconds(size) + ROUND) / size
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            return best
        if now * WORTHWHILE <= pace:
            best, pace = size, now
        size *= 2
    return best


def timed_calls(denoiser: Denoiser, shape: Shape, *, dtype: torch.dtype, device: torch.device) -> Seconds:
    """Return the timing of calls on an accelerator, after as many calls as recording takes.

    It returns the best of a few times (recording: `deqir.hardware.cuda_graphs`). A call that takes more than its share
    of memory counts as out of memory.
    """
    backend = torch.get_device_module(device)

    def seconds(size: int) -> float:
        x = torch.zeros(size, *shape, dtype=dtype, device=device)
        alpha_bar = torch.full((size,), 0.9, dtype=torch.float64, device=device)
        backend.reset_peak_memory_stats(device)
        for _ in range(FEW_CALLS + 1 if size * shape[-2] * shape[-1] <= MOST_PIXELS else 1):
            denoiser(x, alpha_bar)
        if backend.max_memory_allocated(device) > MEMORY_SHARE * backend.mem_get_info(device)[1]:
            raise torch.OutOfMemoryError(f"{size} evaluations take more than their share of memory")
        best, until = math.inf, time.perf_counter() + TIMED
        while best == math.inf or time.perf_counter() < until:
            backend.synchronize(device)
            began = time.perf_counter()
            denoiser(x, alpha_bar)
            backend.synchronize(device)
            best = min(best, time.perf_counter() - began)
        return best

    return seconds
