"""How far a run is, in images."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.manifest.schema import Status
from pipeline.shards import Shard, ShardReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Images done so far in one run, in committed shards and in those being worked on.

    A shard that fails is tried again from its start, so its images leave these counts until they are done.

    Attributes:
        restored, failed, skipped, conflicts: Images by status.
        elsewhere: Images of shards that another run had committed before this one came to them.
    """

    restored: int = 0
    failed: int = 0
    skipped: int = 0
    conflicts: int = 0
    elsewhere: int = 0

    @property
    def done(self) -> int:
        return self.restored + self.failed + self.skipped + self.conflicts + self.elsewhere

    def __add__(self, other: Progress) -> Progress:
        return Progress(
            restored=self.restored + other.restored,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
            conflicts=self.conflicts + other.conflicts,
            elsewhere=self.elsewhere + other.elsewhere,
        )

    def counting(self, status: Status) -> Progress:
        """Return the count with one image more."""
        match status:
            case Status.RESTORED:
                return replace(self, restored=self.restored + 1)
            case Status.FAILED:
                return replace(self, failed=self.failed + 1)
            case Status.SKIPPED:
                return replace(self, skipped=self.skipped + 1)
            case Status.CONFLICT:
                return replace(self, conflicts=self.conflicts + 1)


def progress_of(shard: Shard, report: ShardReport) -> Progress:
    """Return what a finished shard adds."""
    if report.already_committed:
        return Progress(elsewhere=len(shard.images))
    return Progress(restored=report.restored, failed=report.failed, skipped=report.skipped, conflicts=report.conflicts)
