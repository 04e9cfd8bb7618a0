"""The progress of a run, in images."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.shards import Shard, ShardReport
from pipeline.status import NO_IMAGES, Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Images done so far in one run, in committed shards and in shards at work.

    A failed shard is tried again from its start, so its images leave these counts until they are done.

    Attributes:
        counts: Images by status.
        elsewhere: Images of shards found committed by another run.
    """

    counts: Counts = NO_IMAGES
    elsewhere: int = 0

    @property
    def done(self) -> int:
        """Images of any status, and images done elsewhere."""
        return self.counts.total + self.elsewhere

    def __add__(self, other: Progress) -> Progress:
        return Progress(counts=self.counts + other.counts, elsewhere=self.elsewhere + other.elsewhere)


def progress_of(shard: Shard, report: ShardReport) -> Progress:
    """Return the progress of a finished shard."""
    if report.already_committed:
        return Progress(elsewhere=len(shard.images))
    return Progress(counts=report.counts)
