"""Shards that killed their processes, finished image by image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from deqir import Tally
from pipeline.execution.progress import Progress
from pipeline.manifest.schema import ManifestRow
from pipeline.shards import Shard, ShardReport
from pipeline.status import Counts

MAX_DEATHS: Final = 2
"""Processes killed by a shard, and then by an image, before the next measure."""
MAX_GIVEN_UP: Final = 3
"""Images of a shard given up, with no image restored, before the fault is sought outside the images."""


class Step(NamedTuple):
    """An image's row, the counters of its shard's images so far, and the wall time of this image."""

    row: ManifestRow
    tally: Tally
    seconds: float


@dataclass(slots=True)
class CarefulShard:
    """A shard run image by image. Its whole state is in the driver, so a process may die at any step.

    Attributes:
        shard: The shard.
    """

    shard: Shard
    _rows: list[ManifestRow] = field(default_factory=list)
    _tally: Tally = field(default_factory=Tally)
    _seconds: float = 0.0
    _deaths: int = 0
    _given_up: int = 0

    @property
    def progress(self) -> Progress:
        """Images with a row."""
        return Progress(counts=Counts.of(row.status for row in self._rows))

    def ask(self, actor: Any) -> Any:
        """Return the reference of the next call of a `ShardActor`: an image, or the commit when all have their row."""
        if len(self._rows) == len(self.shard.images):
            return actor.commit.remote(self.shard.id, self._rows, self._tally, self._seconds)
        image = self.shard.images[len(self._rows)]
        call = actor.restore_alone if self._deaths < MAX_DEATHS else actor.give_up
        return call.remote(image, self.shard.id, self._tally)

    def answered(self, answer: Step | ShardReport) -> ShardReport | None:
        """Take the answer of a call; returns the report at the shard's end."""
        self._given_up += self._deaths >= MAX_DEATHS
        self._deaths = 0
        if isinstance(answer, ShardReport):
            return answer
        self._rows.append(answer.row)
        self._tally = answer.tally
        self._seconds += answer.seconds
        return None

    def died(self) -> bool:
        """Count a death of the process; returns True if no image is at fault.

        Either no image was being restored, or `MAX_GIVEN_UP` images were given up and no image was restored.
        """
        self._deaths += 1
        return self._deaths > MAX_DEATHS or (self._given_up == len(self._rows) >= MAX_GIVEN_UP)
