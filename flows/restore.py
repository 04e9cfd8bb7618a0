"""The flow of a restoration: plan, restore, finalize."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import opaque

from pipeline.config import RestoreJob
from pipeline.job import Job, JobPlan, JobSummary, open_job, plan_job, run_shards, summarise
from pipeline.progress import Progress

from .artifacts import ARTIFACT_SECONDS, ProgressArtifact, write_summary
from .progress import Show, Standing, Throttle, watchers


@flow(
    name="restore-archive",
    flow_run_name="restore {job.source}, {job.result.degradation.task}",
    persist_result=False,
    log_prints=False,
)
def restore_archive(job: RestoreJob) -> JobSummary:
    """Restore one archive of degraded images; run again, it finishes what is left.

    Args:
        job: What to restore, how, and where the results go.

    Returns:
        What became of every image, from the manifest.

    Raises:
        ConfigurationError: Something the user has to correct.
        JobError: The job stopped; what is committed stays, and the next run does the rest.
    """
    opened, planned = plan(job)
    if planned.pending:
        restore(opaque(opened), opaque(planned))
    return finalize(opaque(opened))


@task(task_run_name="plan {job.source}", cache_policy=NO_CACHE, persist_result=False)
def plan(job: RestoreJob) -> tuple[Job, JobPlan]:
    """Check the job, list its source and write what is to be done."""
    opened = open_job(job)
    planned = plan_job(opened)
    for show in watchers():
        show(standing_of(planned, Progress(), seconds=0.0))
    get_run_logger().info(
        "job %s: %d images, %d done before, %d to do in %d shards",
        opened.id,
        planned.inputs,
        planned.done,
        planned.waiting,
        len(planned.pending),
    )
    return opened, planned


@task(task_run_name="restore {job.id}", cache_policy=NO_CACHE, persist_result=False)
def restore(job: Job, planned: JobPlan) -> None:
    """Run the shards that have no manifest part yet, and tell where they stand.

    Closing the generator ends the executor's actors, however the run ends: cancelled, too.
    """
    artifact = Throttle(show=ProgressArtifact.create(job.id), seconds=ARTIFACT_SECONDS)
    tell = telling(planned, (artifact, *watchers()))
    with closing(run_shards(job, planned.pending, on_progress=tell)) as reports:
        for report in reports:
            get_run_logger().info("%s", report)


@task(task_run_name="finalize {job.id}", cache_policy=NO_CACHE, persist_result=False)
def finalize(job: Job) -> JobSummary:
    """Sum up the manifest and publish it."""
    summary = summarise(job.config.destination, job.id)
    write_summary(summary)
    return summary


def telling(planned: JobPlan, shows: tuple[Show, ...]) -> Callable[[Progress], None]:
    """Return what tells every display where the run stands, counted from now."""
    started = time.monotonic()

    def tell(progress: Progress) -> None:
        standing = standing_of(planned, progress, seconds=time.monotonic() - started)
        for show in shows:
            show(standing)

    return tell


def standing_of(planned: JobPlan, progress: Progress, *, seconds: float) -> Standing:
    """Return where the whole job stands after `seconds` of this run."""
    return Standing(
        total=planned.inputs,
        done=planned.done + progress.done,
        failed=progress.failed,
        conflicts=progress.conflicts,
        fresh=progress.done,
        seconds=seconds,
    )
