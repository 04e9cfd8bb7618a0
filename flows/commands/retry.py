"""`deqir retry`: the images that a job could not restore, once more with its recorded settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.options.options import Json, RestoredArchive, Verbose
from flows.options.request import changed, location
from flows.options.signature import Given, takes
from pipeline.config import RuntimeConfig
from pipeline.errors import ConfigurationError

from .restore import prepared, run_checked

if TYPE_CHECKING:
    from pipeline.job.job import CheckedJob


@takes(RuntimeConfig)
def retry(
    archive: RestoredArchive,
    given: Given,
    job: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The job to retry, where there are several.", show_default="the only one"),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Retry a job's failures, and restore again the images that are gone from DST since, with the job's settings."""
    messages = prepared(verbose=verbose)
    known = retry_job(archive, job_id=job, runtime=given)
    run_checked(known.config, known, messages, as_json=as_json)


def retry_job(destination: str, *, job_id: str | None, runtime: Mapping[str, Any]) -> CheckedJob:
    """Return the job that retries the failures and conflicts of an earlier job.

    Args:
        destination: Destination of the earlier job.
        job_id: Its id, or the id of one of its retries; None: the only job there.
        runtime: Settings of the work, this time; an option that is None stays as recorded.

    Raises:
        ConfigurationError: There is no such job, or there are several; the job was recorded for another destination, or
            has another id by now; a value is out of its range.
    """
    from pipeline.job.job import check_job, recorded_job
    from pipeline.places import canonical_place

    archive = location(destination, name="DST")
    asked = asked_job(archive, job_id)
    recorded = recorded_job(archive, asked)
    if (here := canonical_place(archive)) != recorded.destination:
        raise ConfigurationError(
            f"job {asked} in {here} was recorded for {recorded.destination}, and a retry would go on there: this is a "
            f"copy, or was moved. Say deqir retry {recorded.destination}; if nothing is there any more, move {here} "
            "back to it first. A job of another destination is another job, begun by deqir restore"
        )
    job = recorded.model_copy(update={"retry": True, "runtime": changed(recorded.runtime, runtime)})
    checked = check_job(job)
    if (now := checked.job_id) != asked:
        raise ConfigurationError(
            f"job {asked} cannot be tried again here, where its settings make another job, {now}. Possible reasons: "
            f"other weights of the prior {job.result.prior}, another mask or picture of a blur, a link that leads "
            "elsewhere, another version of deqir. Retry with the files and the version that the job began with, or "
            "restore into another destination"
        )
    return checked


def asked_job(archive: str, job_id: str | None) -> str:
    """Return the id of the job that is meant, without the number of a retry; None: the only job there.

    Raises:
        ConfigurationError: There is no such job, or there are several.
    """
    from pipeline.job.job import find_jobs
    from pipeline.planning.retry import base_of

    jobs = sorted({base_of(each) for each in find_jobs(archive)})
    if job_id is None and len(jobs) != 1:
        known = f"several jobs, name one with --job: {', '.join(jobs)}" if jobs else "no job"
        raise ConfigurationError(f"{archive} holds {known}")
    return base_of(job_id) if job_id is not None else jobs[0]
