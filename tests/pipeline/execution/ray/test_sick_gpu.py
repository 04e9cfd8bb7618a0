"""A GPU that fails whatever is asked of it does not use up the attempts of all shards."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deqir import Request
from pipeline.execution.ray.actor_slots import MAX_STRIKES
from pipeline.job.job import open_job, plan_job
from pipeline.worker.worker import ShardWorker
from tests.pipeline.archive import restore_job, write_archive
from tests.pipeline.faults import wait_until, watched
from tests.pipeline.jobs import ray_executor, summary_of, worker_builder

IMAGES = 8


def slot_of(folder: Path) -> int:
    """The first of two slots that no living process has; like a GPU, a killed process's goes to the next one."""
    while True:
        for number in range(2):
            file = os.open(folder / f"slot-{number}", os.O_CREAT | os.O_RDWR)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
            else:
                return number  # the file stays open and locked until the process ends
        time.sleep(0.01)


def errors_of(folder: Path) -> list[Path]:
    return list(folder.glob("error-*"))


def worker_on_slot(build: Callable[[], ShardWorker], folder: Path) -> ShardWorker:
    """The worker, which fails at every image on the first slot, and on the other one waits until three were failed."""
    slot = slot_of(folder)
    if slot == 1:
        (folder / "well").touch()

    def look(request: Request[Any]) -> None:
        if slot == 0:
            wait_until(lambda: (folder / "well").exists())  # or the other process would take this slot next
            (folder / f"error-{os.getpid()}-{time.monotonic_ns()}").touch()
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        wait_until(lambda: len(errors_of(folder)) >= MAX_STRIKES)

    return watched(build(), look)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_every_shard_is_done_beside_a_gpu_that_fails_whatever_process_it_is_given(tmp_path, tiny_prior, caplog) -> None:
    write_archive(tmp_path / "source", IMAGES)
    (tmp_path / "slots").mkdir()
    job = open_job(restore_job(tmp_path / "source", tmp_path / "out", tiny_prior, runtime={"shard_size": 1}))
    build = partial(worker_on_slot, worker_builder(job), tmp_path / "slots")
    with caplog.at_level(logging.WARNING):
        reports = list(ray_executor(attempts=2).run(plan_job(job).shards, build, lambda progress: None))
    assert len(reports) == IMAGES
    assert summary_of(job).counts.restored == IMAGES
    processes = [path.name.split("-")[1] for path in errors_of(tmp_path / "slots")]
    assert len(set(processes)) == len(processes) == MAX_STRIKES  # each was replaced after its first error
    (told,) = [record.getMessage() for record in caplog.records if "gets no more shards" in record.getMessage()]
    assert told.endswith("RuntimeError: CUDA error: an illegal memory access was encountered")
