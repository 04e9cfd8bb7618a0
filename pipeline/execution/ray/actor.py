"""The process beside a GPU, as Ray starts it."""

from __future__ import annotations

import logging
import platform
import time
from pathlib import Path
from typing import Any

import ray
import torch

from deqir import Tally
from pipeline.errors import ConfigurationError, uncoloured
from pipeline.execution.progress import Progress
from pipeline.execution.protocol import WorkerFactory
from pipeline.manifest.schema import ManifestRow
from pipeline.shards import ImageRef, Shard, ShardReport
from pipeline.status import Counts, Status
from pipeline.worker.worker import ShardWorker

from .crash_isolation import Step
from .metrics import Meters
from .resources import Placement


class ShardActor:
    """Holds a worker, built at the first call so its errors are a shard's."""

    def __init__(self, make_worker: WorkerFactory, threads: int) -> None:
        logging.basicConfig(level=logging.INFO)
        torch.set_num_threads(threads)
        gpus = ", ".join(str(number) for number in ray.get_gpu_ids())  # type: ignore[no-untyped-call, unused-ignore]
        self._place = f"{platform.node()} GPU {gpus}" if gpus else platform.node()
        self._make_worker = make_worker
        self._worker: ShardWorker | None = None
        self._meters: Meters | None = None
        self._running = ("", Progress())

    def run(self, shard: Shard) -> ShardReport:
        self._running = (shard.id, Progress())
        return self._committed(self._built().run(shard, self._on_row))

    def restore_alone(self, ref: ImageRef, shard_id: str, tally: Tally) -> Step:
        worker, began = self._built(), time.monotonic()
        row = worker.restore_alone(ref, shard_id, tally)
        return self._step(row, tally, seconds=time.monotonic() - began)

    def give_up(self, ref: ImageRef, shard_id: str, tally: Tally) -> Step:
        return self._step(self._built().give_up(ref, shard_id), tally, seconds=0.0)

    def commit(self, shard_id: str, rows: list[ManifestRow], tally: Tally, seconds: float) -> ShardReport:
        return self._committed(self._built().commit(shard_id, rows, tally, seconds=seconds))

    @ray.method(concurrency_group="control")  # type: ignore[untyped-decorator, unused-ignore]  # ray has no types
    def place(self) -> str:
        """Return the machine, and the GPUs if there are any; answers as soon as the process is up."""
        return self._place

    @ray.method(concurrency_group="control")  # type: ignore[untyped-decorator, unused-ignore]  # ray has no types
    def running(self) -> tuple[str, Progress]:
        """Return the id of the running shard and its progress; answers while `run` is at work."""
        return self._running

    def _built(self) -> ShardWorker:
        if self._worker is None:
            self._worker = self._make_worker()
            self._meters = Meters.of(self._worker.facts.job_id)
        return self._worker

    def _on_row(self, status: Status) -> None:
        shard_id, progress = self._running
        self._running = (shard_id, progress + Progress(counts=Counts.of([status])))
        if self._meters is not None:
            self._meters.row(status)

    def _step(self, row: ManifestRow, tally: Tally, *, seconds: float) -> Step:
        if self._meters is not None:
            self._meters.row(Status(row.status))
        return Step(row=row, tally=tally, seconds=seconds)

    def _committed(self, report: ShardReport) -> ShardReport:
        if self._meters is not None:
            self._meters.shard(report)
        return report


def actor_class(placement: Placement) -> Any:
    """Return the class as Ray starts it, with each actor's share."""
    remote: Any = ray.remote  # its stubs do not know concurrency groups
    return remote(
        num_gpus=placement.gpus,
        num_cpus=placement.cpus,
        max_restarts=0,
        max_task_retries=0,
        concurrency_groups={"control": 1},
    )(ShardActor)


def never_up(count: int, error: BaseException) -> ConfigurationError:
    """Return the error to raise if no actor starts: `count` of them died at once, the last of `error`."""
    return ConfigurationError(
        f"Ray actors do not start: {count} in a row died at once. Every node needs this program "
        f"in the same version as here ({Path(__file__).parents[2]}), and no other folder of that name where "
        f"workers look first, which may be this process's current directory ({Path.cwd()}); see Ray's logs. "
        f"The last error was {type(error).__name__}: {uncoloured(str(error))}"
    )
