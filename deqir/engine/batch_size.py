"""How many evaluations go into one call of the network: given, or measured where it runs, or what memory holds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import torch

from deqir.hardware.memory import FEW_CALLS, MOST_PIXELS, out_of_memory
from deqir.protocols import Denoiser

LARGEST: Final = 1024
WORTHWHILE: Final = 1.1
"""A batch that is larger has to be this much faster per evaluation to be chosen."""
ROUND: Final = 4e-4
"""Seconds that a round takes beside its network call, however many images are in it (docs/performance.md)."""
TIMED: Final = 0.02
"""Seconds for which calls of one size are repeated, so that the device's clock has time to rise."""
MEMORY_SHARE: Final = 0.5
"""Of the device's memory, for one network call; the rest is for states."""

Seconds = Callable[[int], float]
"""Seconds of a network call with so many evaluations; raises where memory runs out."""


class Batch:
    """The size of a network call for images of any shape; halves when memory runs out.

    Args:
        fixed: Most evaluations a call, whatever their size; None: `measure` is to be called first.
    """

    def __init__(self, fixed: int | None) -> None:
        self._fixed = fixed
        self._pixels: int | None = None
        self._seconds: dict[int, float] = {}

    @property
    def known(self) -> bool:
        return self._fixed is not None or self._pixels is not None

    def of(self, shape: tuple[int, int, int]) -> int:
        """Return the evaluations of images of this shape in one call, at least 1."""
        fitting = None if self._pixels is None else max(1, self._pixels // (shape[-2] * shape[-1]))
        bounds = [bound for bound in (self._fixed, fitting) if bound is not None]
        if not bounds:
            raise RuntimeError("the batch has not been measured")
        return min(bounds)

    def measure(self, shape: tuple[int, int, int], seconds: Seconds) -> None:
        """Find the size for this shape; those of other shapes follow from their pixels."""
        pixels = shape[-2] * shape[-1]

        def noted(size: int) -> float:
            self._seconds[size * pixels] = taken = seconds(size)
            return taken

        self._pixels = saturating(noted) * pixels

    @property
    def timed(self) -> bool:
        """Whether `seconds` can be told."""
        return bool(self._seconds)

    def seconds(self, shape: tuple[int, int, int], evaluations: int) -> float:
        """Return how long a call takes, going by those of `measure`; beyond the largest in proportion to its pixels."""
        pixels, sizes = evaluations * shape[-2] * shape[-1], list(self._seconds)  # they were timed in rising order
        return float(np.interp(pixels, sizes, list(self._seconds.values()))) * max(1.0, pixels / sizes[-1])

    def halve(self, shape: tuple[int, int, int], evaluations: int) -> bool:
        """Allow half the pixels of `evaluations`, which were too many, from now on; False where it was but one."""
        if evaluations < 2:
            return False
        self._pixels = evaluations // 2 * shape[-2] * shape[-1]
        return True


def saturating(seconds: Seconds, *, largest: int = LARGEST) -> int:
    """Return the smallest batch, of 1, 2, 4, ..., that one twice or four times as large is hardly faster than.

    Those that are too large for memory count as none.
    """
    best, pace, size = 1, math.inf, 1
    while size <= min(largest, 4 * best):
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


def timed_calls(
    denoiser: Denoiser, shape: tuple[int, int, int], *, dtype: torch.dtype, device: torch.device
) -> Seconds:
    """Return the best time of a few calls on an accelerator, once they may be recorded (`deqir.hardware.cuda_graphs`).

    More than its share of memory counts as none left.
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
