"""Fixtures of the pipeline's tests."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.job.job import Job, open_job, plan_job
from pipeline.shards import Shard
from pipeline.worker.worker import ShardWorker
from tests.pipeline.archive import restore_job
from tests.pipeline.shard_runs import worker_of


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """The address of one cluster for all tests, with room for actors whatever the machine has."""
    import ray

    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    folder = tempfile.mkdtemp(prefix="deqir-", dir="/tmp")
    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=80 * 2**20,
        _temp_dir=folder,
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An empty folder for inputs."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "destination"


@pytest.fixture
def opened(
    source: Path, destination: Path, tiny_prior: str
) -> Callable[..., tuple[Job, ShardWorker, tuple[Shard, ...]]]:
    """Opens and plans a job of a few steps from `source` to `destination`; takes `restore_job`'s settings."""

    def open_all(**settings: object) -> tuple[Job, ShardWorker, tuple[Shard, ...]]:
        job = open_job(restore_job(source, destination, tiny_prior, **settings))
        return job, worker_of(job), plan_job(job).shards

    return open_all
