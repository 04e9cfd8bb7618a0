"""Shards that killed their processes, brought to their end one image after another."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from deqir import Tally
from pipeline.execution.progress import Progress
from pipeline.manifest.schema import ManifestRow
from pipeline.shards import Shard, ShardReport
from pipeline.status import Counts

MAX_DEATHS: Final = 2
"""Processes that a shard, and then each of its images, may take down."""
MAX_GIVEN_UP: Final = 3
"""Images of a shard that are given up, all of them so far, before it is taken for no fault of theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What an actor says of one image.

    Attributes:
        row: The image's.
        tally: Of the shard's images so far.
        seconds: Wall time of this one.
    """

    row: ManifestRow
    tally: Tally
    seconds: float


@dataclass(slots=True)
class CarefulShard:
    """How far one of them is. All of it is here, in the driver, so that a process may die at any step.

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
        """Images that have their row."""
        return Progress(counts=Counts.of(row.status for row in self._rows))

    def ask(self, actor: Any) -> Any:
        """Return the reference of the next call of a `ShardActor`: an image, or the commit when all have their row."""
        if len(self._rows) == len(self.shard.images):
            return actor.commit.remote(self.shard.id, self._rows, self._tally, self._seconds)
        image = self.shard.images[len(self._rows)]
        call = actor.restore_alone if self._deaths < MAX_DEATHS else actor.give_up
        return call.remote(image, self.shard.id, self._tally)

    def answered(self, answer: Step | ShardReport) -> ShardReport | None:
        """Take what a call returned; returns the shard's report at its end."""
        self._given_up += self._deaths >= MAX_DEATHS
        self._deaths = 0
        if isinstance(answer, ShardReport):
            return answer
        self._rows.append(answer.row)
        self._tally = answer.tally
        self._seconds += answer.seconds
        return None

    def died(self) -> bool:
        """Note that the process died; returns whether that is no image's fault.

        None was being restored, or so many were given up, and none restored, that something else is wrong.
        """
        self._deaths += 1
        return self._deaths > MAX_DEATHS or (self._given_up == len(self._rows) >= MAX_GIVEN_UP)


class CarefulShards:
    """Those of one run."""

    def __init__(self) -> None:
        self._deaths: Counter[str] = Counter()
        self._shards: dict[str, CarefulShard] = {}

    @property
    def progress(self) -> Progress:
        return sum((careful.progress for careful in self._shards.values()), Progress())

    def of(self, shard: Shard) -> CarefulShard | None:
        """Return a shard's state; None where it is run as a whole."""
        return self._shards.get(shard.id) if self._shards else None

    def begins(self, shard: Shard) -> bool:
        """Note that a shard that is run as a whole lost its process; returns whether it goes on image by image."""
        self._deaths[shard.id] += 1
        if self._deaths[shard.id] < MAX_DEATHS:
            return False
        self._shards[shard.id] = CarefulShard(shard)
        return True

    def ended(self, shard: Shard) -> None:
        """Forget a shard that is committed or given up."""
        self._shards.pop(shard.id, None)
