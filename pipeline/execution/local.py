"""The executor of shards in this process."""

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
    """Runs one shard after another in this process and thread: for small machines, tests and debuggers.

    An image that kills the process ends the run, and every run after it: nothing is left to go on without it, unlike
    the driver of Ray's processes.

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
    """Return a callback for rows: it adds up the running shard and reports at most once a second."""
    running, told = Progress(), time.monotonic()

    def on_row(status: Status) -> None:
        nonlocal running, told
        running += Progress(counts=Counts.of([status]))
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            on_progress(before + running)

    return on_row
