"""The flow of a restoration: plan, restore in waves of shards, finalize."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Final, TypeVar, cast

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import opaque

from flows.credentials import credentials_from_block
from flows.display.progress import Show, Standing, Throttle, watchers
from pipeline.config import RestoreJob
from pipeline.errors import ShardsAbandonedError, TimeLimitError
from pipeline.execution.progress import Progress
from pipeline.job.job import Job, JobPlan, open_job, plan_job, run_shards, survey
from pipeline.reporting.before_after import exhibits
from pipeline.reporting.summary import JobSummary
from pipeline.shards import ShardReport

from .artifacts import Board
from .flow_retries import FLOW, RETRIES, RETRY_SECONDS, retried_where_it_helps
from .logs import log_jobs_and_shards
from .pages import write_pages
from .plots import by_round

MOST_WAVES: Final = 20
PICTURES: Final = 4

T = TypeVar("T")

_opened: ContextVar[Job | None] = ContextVar("opened", default=None)


@contextmanager
def already_opened(job: Job) -> Iterator[None]:
    """Give an opened job to the flow run inside the block; as a parameter, a server would have to store it.

    A deployed run opens its job itself.
    """
    token = _opened.set(job)
    try:
        yield
    finally:
        _opened.reset(token)


@flow(
    name=FLOW,
    flow_run_name="restore {job.source}, {job.result.degradation.task}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_SECONDS,
    persist_result=False,
    log_prints=False,
)
def restore_archive(job: RestoreJob) -> JobSummary:
    """Restore an archive of degraded images; a later run does the rest.

    Args:
        job: The source, the settings and the destination.

    Returns:
        The summary of all images, from the manifest.

    Raises:
        ConfigurationError: The user has to correct a setting.
        JobError: The job stopped; committed shards stay, and the next run does the rest.
    """
    started = time.monotonic()
    log_jobs_and_shards()
    with retried_where_it_helps():
        credentials_from_block()
        opened, planned = plan(job)
        try:
            if planned.pending:
                restore(opened, planned, started=started)
        except ShardsAbandonedError:
            finalize(unseen(opened))
            raise
        return finalize(unseen(opened))


@task(task_run_name="plan {job.source}", cache_policy=NO_CACHE, persist_result=False)
def plan(job: RestoreJob) -> tuple[Job, JobPlan]:
    """Check the job, list its source and write the plan."""
    opened = _opened.get() or open_job(job)
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
    if not planned.inputs and job.key_list is None:
        get_run_logger().warning("the source %s holds no object: nothing is to be restored", opened.config.source)
    return opened, planned


def restore(job: Job, planned: JobPlan, *, started: float) -> None:
    """Run the shards without a manifest part, in waves, and show their progress.

    The actors live as long as the generator of reports, so from the first wave to the last. Closing it ends them,
    however the run ends: cancelled, too.
    """
    shards = len(planned.pending)
    board = Board.create(job.id, shards=shards)
    shows: tuple[Show, ...] = (  # less than 1,000 calls of the API in a run of 200 shards, be it eight hours long
        Throttle(show=board.show_progress, seconds=2.0, share=0.03, longest=120.0),
        Throttle(show=board.show_table, seconds=10.0, share=0.1, longest=600.0),
        *watchers(),
    )
    tell = telling(planned, shows, started=started, limit=job.config.runtime.max_minutes)
    with closing(run_shards(job, planned.pending, on_progress=tell)) as reports:
        for first, last in waves(shards):
            which = f"shard {first}" if first == last else f"shards {first} to {last}"
            count = None if last == shards else last - first + 1
            wave(unseen(reports), unseen(board), name=f"{which} of {shards}", count=count)
    board.finish()


@task(task_run_name="restore {name}", cache_policy=NO_CACHE, persist_result=False)
def wave(reports: Iterator[ShardReport], board: Board, *, name: str, count: int | None) -> None:
    """Go on until `count` shards are committed; None: until all are, or were given up."""
    for report in islice(reports, count):
        board.add(report)


@task(task_run_name="finalize {job.id}", cache_policy=NO_CACHE, persist_result=False)
def finalize(job: Job) -> JobSummary:
    """Sum up the manifest and publish it, with some pictures."""
    found = survey(job.config.destination, job.id)
    write_pages(
        found.summary,
        exhibits(job.config, found.restored, count=PICTURES),
        by_round(found.histories, found.worst),
        tolerance=job.config.result.tolerance,
    )
    return found.summary


def waves(shards: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last shard of each wave, from 1; there are at most 20 waves."""
    size = math.ceil(shards / MOST_WAVES)
    for first in range(1, shards + 1, size):
        yield first, min(first + size - 1, shards)


def telling(
    planned: JobPlan, shows: tuple[Show, ...], *, started: float, limit: float | None
) -> Callable[[Progress], None]:
    """Return a callback for progress: it updates every display, and ends the run at its time limit.

    Args:
        planned: The job's plan.
        shows: The displays.
        started: When the run began, on the monotonic clock.
        limit: Minutes for the run; None: no limit.
    """
    began = time.monotonic()

    def tell(progress: Progress) -> None:
        now = time.monotonic()
        standing = standing_of(planned, progress, seconds=now - began)
        for show in shows:
            show(standing)
        if limit is not None and now - started > 60 * limit and standing.done < standing.total:
            raise TimeLimitError(
                f"the run took longer than its limit of {limit:g} minutes (`max_minutes`); {standing.done:,} of "
                f"{standing.total:,} images are done or begun, and the next run goes on from there"
            )

    return tell


def standing_of(planned: JobPlan, progress: Progress, *, seconds: float) -> Standing:
    """Return the standing of the whole job after `seconds` of this run."""
    return Standing(total=planned.inputs, before=planned.done, run=progress, seconds=seconds)


def unseen(value: T) -> T:
    """Return an argument wrapped so Prefect does not search it for futures."""
    return cast(T, opaque(value))
