"""An image's middle: observations of any sizes through the engine, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from deqir import Engine, Request, Tally, TooLarge, image_seed
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
    """Restores images as they come.

    Attributes:
        engine: The method with its settings and its prior.
        operator: The degradation to undo.
        seed: The job's seed.
    """

    engine: Engine
    operator: LinearOperator
    seed: int

    def __call__(self, images: Iterable[Prepared], tally: Tally, /) -> Iterator[Restored | Unsolved]:
        """Yield what became of each image, in the order in which they are done; takes them only as it has room."""
        for result in self.engine.run(map(self._request, images), tally=tally):
            prepared = result.tag
            if isinstance(result, TooLarge):
                row = prepared.row
                text = (
                    f"restoring {row.width} x {row.height} pixels needs more memory than there is, even alone; "
                    "use a machine or a GPU with more, or smaller images"
                )
                yield Unsolved(row=row, error=OutOfMemoryError(text))
                continue
            row = with_stats(prepared.row, result.stats, seconds=result.seconds)
            if result.stats.outcome is Outcome.NONFINITE:
                text = f"the restoration held nan or inf after {result.stats.rounds} rounds; nothing was written"
                yield Unsolved(row=row, error=NonFiniteError(text))
            else:
                image, start = result.image.to(prepared.y.device), result.start.to(prepared.y.device)
                yield Restored(prepared=prepared, row=row, image=image, start=start)

    def _request(self, prepared: Prepared) -> Request[Prepared]:
        seed = image_seed(self.seed, str(prepared.row.source_sha256))
        return Request(y=prepared.y, operator=self.operator, seed=seed, tag=prepared)
