"""Jobs begun by an earlier version go on with its method: a new version orphans none."""

from __future__ import annotations

import logging

from pipeline.config import RestoreJob
from pipeline.degradation import meanings_before
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
    formers = of_first_method(job)
    if not formers:
        return None
    try:
        destination = open_store(job.destination, writable=False)
    except ConfigurationError:  # nothing is there yet
        return None
    id = job.job_id(prior_digest=prior_digest, file_digest=file_digest)
    if destination.head(Layout(id).job()) is not None:
        return None
    for former in formers:
        id = former.job_id(prior_digest=prior_digest, file_digest=file_digest)
        if destination.head(Layout(id).job()) is not None:
            logger.info("job %s in %s was begun by an earlier version: it goes on with its method", id, destination.url)
            return former
    return None


def of_first_method(job: RestoreJob) -> list[RestoreJob]:
    """Return the jobs of version 0.1 that these settings may belong to; none if it did not know them."""
    result = None if job.method == 1 else as_before(job.result)
    if result is None:
        return []
    results = [result.model_copy(update={"degradation": each}) for each in meanings_before(result.degradation)]
    return [job.model_copy(update={"method": 1, "result": each}) for each in results]
