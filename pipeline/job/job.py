"""The calls of a flow or a command: open a job, plan it, run its shards, sum it up."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Final

from pydantic import ValidationError

from pipeline.config import RestoreJob, RuntimeConfig
from pipeline.errors import ConfigurationError
from pipeline.execution.local import LocalExecutor
from pipeline.execution.protocol import Executor, OnProgress
from pipeline.fault_text import in_words
from pipeline.inputs.make_operator import read_file
from pipeline.keys import INTERNAL, Layout, job_id_of
from pipeline.places import with_places
from pipeline.planning.key_list import read_key_list
from pipeline.planning.plan import plan, stored_plan, uncommitted
from pipeline.planning.retry import open_retry
from pipeline.reporting.summary import JobSummary
from pipeline.reporting.survey import Survey, survey_of
from pipeline.shards import Shard, ShardReport
from pipeline.store import Store, open_store
from pipeline.worker.build import make_worker

from .checks import (
    check_companions,
    check_device,
    check_networks,
    check_places,
    check_start_noise,
    prior_digest_of,
)
from .former import begun_earlier

MAX_RECORD_BYTES: Final = 2**20

logger = logging.getLogger("deqir.job")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedJob:
    """Settings checked on this machine, and the identity of their job; nothing of it is recorded yet.

    Attributes:
        config: The settings, with absolute places.
        job_id: Digest of all settings and files that decide the pixels, and of the places.
        prior_digest: SHA-256 of the prior's weights.
        file: The mask or the picture of a blur of the degradation, if it has one.
        file_digest: Its SHA-256.
    """

    config: RestoreJob
    job_id: str
    prior_digest: str
    file: bytes | None
    file_digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job whose settings are checked and recorded. Small: it crosses to other processes.

    Attributes:
        config: The settings, with absolute places.
        id, prior_digest: As in `CheckedJob`; a retry has an id of its own.
    """

    config: RestoreJob
    id: str
    prior_digest: str

    @property
    def layout(self) -> Layout:
        return Layout(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """The work of a job.

    Attributes:
        shards: Every shard of the job; with a list of keys, only shards with a present version of a listed key.
        pending: Shards without a manifest part.
        inputs: Images in these shards.
        done: Images with a row.
    """

    shards: tuple[Shard, ...]
    pending: tuple[Shard, ...]
    inputs: int
    done: int

    @property
    def waiting(self) -> int:
        """Images without a row."""
        return self.inputs - self.done


def open_job(job: RestoreJob, /) -> Job:
    """Return a job whose settings are checked and recorded in its destination, now or by an earlier run.

    Raises:
        ConfigurationError: The user has to correct a setting.
    """
    return record_job(check_job(job))


def check_job(job: RestoreJob, /) -> CheckedJob:
    """Return a job whose settings are checked; nothing is written.

    Raises:
        ConfigurationError: The user has to correct a setting.
    """
    if job.retry and job.key_list is not None:
        raise ConfigurationError("retry and key_list exclude each other: a retry tries all failures again")
    job = with_places(job)
    check_places(job)
    check_device(job.runtime)
    check_networks(job.result)
    prior_digest = prior_digest_of(job.result.prior)
    file = read_file(job.result.degradation, limits=job.runtime)
    file_digest = None if file is None else hashlib.sha256(file).hexdigest()
    check_start_noise(job, file)
    check_companions(job)
    job = begun_earlier(job, prior_digest=prior_digest, file_digest=file_digest) or job
    return CheckedJob(
        config=job,
        job_id=job.job_id(prior_digest=prior_digest, file_digest=file_digest),
        prior_digest=prior_digest,
        file=file,
        file_digest=file_digest,
    )


def record_job(checked: CheckedJob, /) -> Job:
    """Return a checked job after recording it in its destination, unless an earlier run has.

    Raises:
        ConfigurationError: The destination cannot be written to, or it holds no job to try again.
    """
    job, job_id = checked.config, checked.job_id
    if job.retry:
        open_store(job.destination, writable=False)  # a folder that is not there holds nothing to try again
    destination = open_store(job.destination, writable=True)
    if job.retry:
        source = open_store(job.source, writable=False)
        job_id = open_retry(source, destination, job_id, shard_size=job.runtime.shard_size)
    opened = Job(config=job, id=job_id, prior_digest=checked.prior_digest)
    if checked.file is not None:
        destination.create(opened.layout.file(), checked.file)
    record = {
        "job_id": opened.id,
        "prior_digest": checked.prior_digest,
        "file_digest": checked.file_digest,
        "method": job.method,
        "job": job.model_dump(mode="json", exclude={"key_list"}),  # those are one run's
    }
    destination.create(opened.layout.job(), json.dumps(record, indent=1, sort_keys=True).encode())
    return opened


def plan_job(job: Job, /) -> JobPlan:
    """Return the work of a job, after adding new inputs of the source to its plan; a retry's plan never grows."""
    source = open_store(job.config.source, writable=False)
    destination = open_store(job.config.destination, writable=True)
    key_list = job.config.key_list
    if job.config.retry:
        shards = stored_plan(destination, job.layout)
    else:
        shards = plan(
            source,
            destination,
            job.layout,
            shard_size=job.config.runtime.shard_size,
            output_format=job.config.result.output_format,
            keys=None if key_list is None else read_key_list(key_list),
        )
    pending = uncommitted(destination, job.layout, shards)
    inputs = sum(len(shard.images) for shard in shards)
    return JobPlan(
        shards=shards,
        pending=pending,
        inputs=inputs,
        done=inputs - sum(len(shard.images) for shard in pending),
    )


def run_shards(job: Job, shards: Sequence[Shard], /, *, on_progress: OnProgress) -> Generator[ShardReport, None, None]:
    """Run shards where the job's settings say and yield each report as its shard is committed.

    Close it (`contextlib.closing`) to end its actors at once when the loop over it is left early. `Executor.run` has
    the arguments and the errors.
    """
    build = partial(make_worker, job.config, job.layout, job.prior_digest)
    with closing(executor_of(job.config.runtime).run(shards, build, on_progress)) as reports:
        for report in reports:
            log(job, report)
            yield report


def executor_of(runtime: RuntimeConfig) -> Executor:
    """Return the executor of the job's shards."""
    if runtime.executor == "local":
        return LocalExecutor(attempts=runtime.attempts)
    from pipeline.execution.ray.executor import RayExecutor  # takes a third of a second to import

    return RayExecutor(runtime)


def summarise(destination: str, job_id: str, /) -> JobSummary:
    """Return a job in numbers; the errors are those of `survey`."""
    return survey(destination, job_id).summary


def survey(destination: str, job_id: str, /) -> Survey:
    """Return a job in numbers and examples, by the newest version of each input, with images restored since.

    Raises:
        ConfigurationError: No such job, or its manifest, its plan or the manifest of a retry cannot be read.
    """
    store = open_store(destination, writable=False)
    if store.head(Layout(job_id).job()) is None:
        raise no_such_job(store, job_id)
    return survey_of(store, job_id)


def recorded_job(destination: str, job_id: str, /) -> RestoreJob:
    """Return the settings of a job as they were recorded.

    Raises:
        ConfigurationError: No such job, or this version cannot read its record.
    """
    store, key = open_store(destination, writable=False), Layout(job_id).job()
    try:
        record = json.loads(store.get(key, limit=MAX_RECORD_BYTES).data)
        return RestoreJob.model_validate(record["job"] | {"method": record.get("method", 1)})
    except FileNotFoundError as error:
        raise no_such_job(store, job_id) from error
    except ValidationError as error:
        raise ConfigurationError(f"{store.url}/{key} is no job of this version: {in_words(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{store.url}/{key} is no record of a job: {error}") from error


def find_jobs(destination: str, /) -> tuple[str, ...]:
    """Return the ids of the jobs of a destination, in order."""
    return jobs_in(open_store(destination, writable=False))


def jobs_in(store: Store) -> tuple[str, ...]:
    """Return the ids of the jobs with a record in a store, in order."""
    ids = (job_id_of(info.key) for info in store.list(INTERNAL, depth=2))  # not every sample of every image
    return tuple(sorted(id for id in ids if id is not None))


def no_such_job(store: Store, job_id: str) -> ConfigurationError:
    """Return the error for a job without a record in a store; it names the jobs with a record."""
    return ConfigurationError(f"no job {job_id!r} in {store.url}; there: {', '.join(jobs_in(store)) or 'none'}")


def log(job: Job, report: ShardReport) -> None:
    """Write the one line of a shard."""
    logger.info(
        "shard %s job=%s shard=%s restored=%d failed=%d skipped=%d conflicts=%d unchanged=%d set_aside=%d "
        "rounds=%d nfe=%d seconds=%.1f images_per_s=%.3g evaluations_per_s=%.3g occupancy=%.2f",
        "already committed" if report.already_committed else "committed",
        job.id,
        report.shard_id,
        report.counts.restored,
        report.counts.failed,
        report.counts.skipped,
        report.counts.conflicts,
        report.counts.unchanged,
        report.counts.set_aside,
        report.rounds,
        report.nfe,
        report.seconds,
        report.images_per_second,
        report.evaluations_per_second,
        report.occupancy,
    )
