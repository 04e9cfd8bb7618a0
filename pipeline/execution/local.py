"""The executor that runs shards in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from pipeline.shards import Shard, ShardReport
from pipeline.status import Counts, Status

from .progress import Progress
from .protocol import PROGRESS_SECONDS, OnProgress, WorkerFactory
from .shard_queue import ShardQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalExecutor:
    """In this process and thread, one shard after another: for small machines, tests and debuggers.

    An image that kills the process ends the run, and every run after it: nobody is left to go on without it, as the
    driver of Ray's processes is.

    Attributes:
        attempts: Times a shard is tried.
    """

    attempts: int = 3

    def run(
        self, shards: Sequence[Shard], make_worker: WorkerFactory, on_progress: OnProgress, /
    ) -> Generator[ShardReport, None, None]:
        queue = ShardQueue(shards, attempts=self.attempts)
        if not queue:
            return
        worker = make_worker()
        while queue:
            shard = queue.take()
            try:
                report = worker.run(shard, _each_second(on_progress, queue.done))
            except Exception as error:  # noqa: BLE001  whatever it is, the shard is uncommitted and is counted
                queue.failed(shard, error)
                continue
            queue.finished(shard, report)
            on_progress(queue.done)
            yield report
        queue.finish()


def _each_second(on_progress: OnProgress, before: Progress) -> Callable[[Status], None]:
    """Return a row's callback that adds up the running shard and tells of it at most once a second."""
    running, told = Progress(), time.monotonic()

    def on_row(status: Status) -> None:
        nonlocal running, told
        running += Progress(counts=Counts.of([status]))
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            on_progress(before + running)

    return on_row
