"""An image's middle: a batch of observations through the restorer, whatever the memory allows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deqir import Restorer, image_seed
from deqir.protocols import LinearOperator, Outcome

from .errors import ImageError, NonFiniteError, OutOfMemoryError
from .intake import Prepared
from .manifest import ManifestRow
from .rows import with_stats


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """An image that was restored and is to be written.

    Attributes:
        prepared: Where it came from.
        row: What is known so far.
        image, start: The result and the chain's start, shape (3, H, W), about [-1, 1].
    """

    prepared: Prepared
    row: ManifestRow
    image: Tensor
    start: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsolved:
    """An image that could not be restored, and why."""

    row: ManifestRow
    error: ImageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """Restores batches of one shape.

    Attributes:
        restorer: The method with its settings and its prior.
        operator: The degradation to undo.
        seed: The job's seed.
    """

    restorer: Restorer
    operator: LinearOperator
    seed: int

    def __call__(self, batch: Sequence[Prepared], /) -> Iterator[Restored | Unsolved]:
        """Yield the results of a batch; one that does not fit in memory is restored image by image."""
        results = self._attempt(batch)
        if results is not None:
            yield from results
        elif len(batch) > 1:
            for prepared in batch:
                yield from self([prepared])
        else:
            row = batch[0].row
            error = OutOfMemoryError(
                f"restoring {row.width} x {row.height} pixels needs more memory than there is, even alone; "
                "use a machine or a GPU with more, or smaller images"
            )
            yield Unsolved(row=row, error=error)

    def _attempt(self, batch: Sequence[Prepared]) -> list[Restored | Unsolved] | None:
        """Return the batch's results; None where memory ran out, all that held some released."""
        began = time.perf_counter()
        try:
            restoration = self.restorer(
                torch.stack([prepared.y for prepared in batch]),
                self.operator,
                seeds=[image_seed(self.seed, str(prepared.row.source_sha256)) for prepared in batch],
            )
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            torch.cuda.empty_cache()
            return None
        seconds = (time.perf_counter() - began) / len(batch)
        results = list[Restored | Unsolved]()
        for prepared, image, start, stats in zip(
            batch, restoration.images, restoration.start, restoration.stats, strict=True
        ):
            row = with_stats(prepared.row, stats, seconds=seconds)
            if stats.outcome is Outcome.NONFINITE:
                text = f"the restoration held nan or inf after {stats.rounds} rounds; nothing was written"
                results.append(Unsolved(row=row, error=NonFiniteError(text)))
            else:
                results.append(Restored(prepared=prepared, row=row, image=image, start=start))
        return results


def out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out: Python's, the GPU's, or the CPU's, for which torch has no class."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
