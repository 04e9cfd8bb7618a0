"""`deqir retry`: once more what a job could not restore, with the settings that it recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .request import given, location, option_errors

if TYPE_CHECKING:
    from pipeline.config import RestoreJob


def retry_job(destination: str, *, job_id: str | None, runtime: Mapping[str, Any]) -> RestoreJob:
    """Return the job that tries again what an earlier one recorded as failed or in conflict.

    Args:
        destination: Of the earlier job.
        job_id: Its id, or that of one of its retries; None: the only one that there is.
        runtime: How the work is done this time; an option that is None stays as recorded.

    Raises:
        ConfigurationError: No such job, several to choose from, or a value out of its range.
    """
    from pipeline.config import RestoreJob
    from pipeline.errors import ConfigurationError
    from pipeline.job import find_jobs, recorded_job
    from pipeline.retrying import base_of

    place = location(destination)
    jobs = sorted({base_of(each) for each in find_jobs(place)})
    if job_id is None and len(jobs) != 1:
        known = f"several jobs, name one with --job: {', '.join(jobs)}" if jobs else "no job"
        raise ConfigurationError(f"{place} holds {known}")
    recorded = recorded_job(place, base_of(job_id) if job_id is not None else jobs[0])
    settings = recorded.model_dump() | {"retry": True, "runtime": recorded.runtime.model_dump() | given(runtime)}
    with option_errors():
        return RestoreJob.model_validate(settings)
