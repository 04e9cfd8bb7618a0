"""Running jobs as a command does, in this process or on actors, and their ends, for the tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.config import RestoreJob, RuntimeConfig
from pipeline.job.job import Job, open_job, plan_job, run_shards, summarise
from pipeline.reporting.summary import JobSummary
from pipeline.worker.build import make_worker
from pipeline.worker.worker import ShardWorker
from tests.pipeline.rows import read_manifest

if TYPE_CHECKING:
    from pipeline.execution.ray.executor import RayExecutor


def run_job(settings: RestoreJob, shards: slice = slice(None)) -> Job:
    """Run the pending shards of a job, or some of them."""
    job = open_job(settings)
    list(run_shards(job, plan_job(job).pending[shards], on_progress=lambda progress: None))
    return job


def again(settings: RestoreJob, *, retry: bool = True, **runtime: Any) -> RestoreJob:
    """The settings of a retry, or of another run, with other runtime settings."""
    changed = {"retry": retry, "runtime": settings.runtime.model_dump() | runtime}
    return RestoreJob.model_validate(settings.model_dump() | changed)


def ends(job: Job) -> dict[str, str]:
    """Status by key; fails where an input has two rows."""
    rows = read_manifest(job.config.destination, job.id)
    found = {row.source_key: row.status for row in rows}
    assert len(found) == len(rows)
    return {key: str(status) for key, status in found.items()}


def assert_a_row_a_version(job: Job) -> None:
    rows = read_manifest(job.config.destination, job.id)
    assert len({(row.source_key, row.source_etag) for row in rows}) == len(rows)


def summary_of(job: Job) -> JobSummary:
    return summarise(job.config.destination, job.id)


def counts(job: Job) -> tuple[int, int, int, int]:
    """Inputs, restored, failed, and rows of older versions."""
    summary = summary_of(job)
    return summary.images, summary.counts.restored, summary.counts.failed, summary.replaced


def failures(job: Job) -> list[str]:
    """The keys of the failures in a job's summary."""
    return [failure.key for failure in summary_of(job).failures]


def worker_builder(job: Job) -> Callable[[], ShardWorker]:
    """Builds the job's worker, also in other processes."""
    return partial(make_worker, job.config, job.layout, job.prior_digest)


def ray_executor(**settings: Any) -> RayExecutor:
    """Two actors on the cluster of the fixture `ray_cluster`, if not told otherwise."""
    from pipeline.execution.ray.executor import RayExecutor

    return RayExecutor(RuntimeConfig(**{"actors": 2, "cpus_per_actor": 1, "device": "cpu"} | settings))
