"""Jobs begun by an earlier version go on with its method: a new version orphans none."""

from __future__ import annotations

import logging

from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError
from pipeline.fields import as_before
from pipeline.keys import Layout
from pipeline.store import open_store

logger = logging.getLogger("deqir.job")


def begun_earlier(job: RestoreJob, *, prior_digest: str, file_digest: str | None) -> RestoreJob | None:
    """Return the job of an earlier method with the same settings, if the destination holds it and no job of today's.

    Args:
        job: The settings, with absolute places.
        prior_digest, file_digest: As for `RestoreJob.job_id`.
    """
    former = of_first_method(job)
    if former is None:
        return None
    try:
        destination = open_store(job.destination, writable=False)
    except ConfigurationError:  # nothing is there yet
        return None
    ids = [each.job_id(prior_digest=prior_digest, file_digest=file_digest) for each in (job, former)]
    of_today, of_before = (destination.head(Layout(id).job()) is not None for id in ids)
    if of_today or not of_before:
        return None
    logger.info("job %s in %s was begun by an earlier version: it goes on with its method", ids[1], destination.url)
    return former


def of_first_method(job: RestoreJob) -> RestoreJob | None:
    """Return the job as version 0.1 took these settings; None if it did not know them."""
    if job.method == 1:
        return None
    result = as_before(job.result)
    return None if result is None else job.model_copy(update={"method": 1, "result": result})
