"""The seam between a job and the machines of its shards."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Final, Protocol

from pipeline.shards import Shard, ShardReport
from pipeline.worker.worker import ShardWorker

from .progress import Progress

WorkerFactory = Callable[[], ShardWorker]


OnProgress = Callable[[Progress], None]


PROGRESS_SECONDS: Final = 1.0


class Executor(Protocol):
    """Runs shards in any order and yields the report of each one as it is committed."""

    def run(
        self, shards: Sequence[Shard], make_worker: WorkerFactory, on_progress: OnProgress, /
    ) -> Generator[ShardReport, None, None]:
        """Run every shard, and failed shards again.

        Args:
            shards: Shards to run.
            make_worker: Builds the worker where it is to run; picklable, so that it crosses to another
                process and nothing large has to.
            on_progress: Called by the iterating thread, about every second and after each shard.

        Raises:
            ConfigurationError: At once, as trying again cannot help.
            StoreUnavailableError: The store does not answer.
            ShardsAbandonedError: At the end: some shards kept failing; all others are committed.
        """
        ...
