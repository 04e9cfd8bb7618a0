"""A source without any object: at the command line a mistake, told before anything of the job is written."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.errors import ConfigurationError, StoreAccessError

if TYPE_CHECKING:
    from pipeline.config import RestoreJob


def refuse_empty(job: RestoreJob) -> None:
    """Refuse a job whose source holds nothing, unless an earlier run has begun it.

    Raises:
        ConfigurationError: It does, or its places cannot be used.
        StoreUnavailableError: A store does not answer.
    """
    from pipeline.identity import identity_of
    from pipeline.keys import INTERNAL, Layout
    from pipeline.places import with_places
    from pipeline.store import open_store

    job = with_places(job)
    source = open_store(job.source, writable=False)
    if job.retry or any(not info.key.startswith(INTERNAL) for info in source.list()):
        return
    with suppress(StoreAccessError):  # as where the destination is not there yet
        record = Layout(identity_of(job).job_id).job()
        if open_store(job.destination, writable=False).head(record) is not None:
            return
    raise nothing_in(source.url)


def nothing_in(source: str) -> ConfigurationError:
    """Return what to raise for a source that holds nothing."""
    return ConfigurationError(
        f"the source {source} holds no object, so that there is nothing to restore; correct its name, or put the "
        "images there"
    )
