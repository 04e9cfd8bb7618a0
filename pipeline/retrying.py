"""Trying again what failed: as a job of its own, whose plan is what the jobs before it could not do.

A row is final, and a plan never changes, so that a second try of an image cannot be a second row of the first
job. It is a row of a job that follows: <job id>-retry1, then -retry2, with the settings of the first, its own plan
and its own manifest. Each of them has exactly one row for each of its inputs; what became of an input in the end
says the last one that has it.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from .errors import ConfigurationError
from .keys import Layout, unescaped
from .manifest import NOT_RESTORED, read_ends
from .plan import create_plan, stored_plan, uncommitted
from .shards import ImageRef
from .store import Store
from .threads import map_ahead, threads

ASKED_AT_ONCE: Final = 8


def open_retry(source: Store, destination: Store, base: str, *, shard_size: int) -> str:
    """Return the id of the job that tries again what failed or was in conflict, its plan written.

    That is the last retry, if it is not finished; else a new one, if something failed that the source still has in
    the same version; else the last job, which has nothing left to do.

    Args:
        source: The inputs.
        destination: Where the jobs are.
        base: The first job's id.
        shard_size: Images in a shard.

    Raises:
        ConfigurationError: There is no such job.
    """
    jobs = tries_of(destination, base)
    if not jobs:
        raise ConfigurationError(
            f"{destination.url} holds no job {base}, so that there is nothing to try again; run it without retry "
            "first, with the same settings"
        )
    if len(jobs) > 1 and not finished(destination, jobs[-1]):
        return jobs[-1]
    failed = still_failed(source, destination, jobs)
    if not failed:
        return jobs[-1]
    new = retry_id(base, len(jobs))
    create_plan(destination, Layout(new), failed, shard_size=shard_size)
    return new


def retry_id(base: str, number: int) -> str:
    """Return the id of the retry of that number; 0 is the job itself."""
    return f"{base}-retry{number}" if number else base


def base_of(job_id: str) -> str:
    """Return the id of the job that a retry is one of; a job's own id."""
    return re.sub(r"-retry[0-9]+\Z", "", job_id)


def number_of(job_id: str) -> int:
    """Return the number of a retry; 0 for a job itself."""
    suffix = re.search(r"-retry([0-9]+)\Z", job_id)
    return int(suffix[1]) if suffix else 0


def tries_of(destination: Store, base: str, *, first: int = 0) -> list[str]:
    """Return the ids of a job and its retries, in order, from a number on; nothing if there is no such job."""
    jobs = list[str]()
    while destination.head(Layout(job := retry_id(base, first + len(jobs))).job()) is not None:
        jobs.append(job)
    return jobs


def finished(destination: Store, job_id: str) -> bool:
    """Return whether every shard of a job has its part."""
    layout = Layout(job_id)
    return not uncommitted(destination, layout, stored_plan(destination, layout))


def still_failed(source: Store, destination: Store, jobs: list[str]) -> list[ImageRef]:
    """Return the versions whose last row says that they failed, as far as the source still has them.

    Those that were refused by their names are left out: no other try has another end.
    """
    failed = set[tuple[str, str]]()
    for job_id in jobs:
        for key, etag, status in read_ends(destination, Layout(job_id)):
            if status in NOT_RESTORED:
                failed.add((key, etag))
            else:
                failed.discard((key, etag))
    planned = (ref for shard in stored_plan(destination, Layout(jobs[0])) for ref in shard.images)
    refs = [ref for ref in planned if (ref.key, ref.etag) in failed and ref.refusal is None]
    with threads(ASKED_AT_ONCE, "retry") as pool:
        there = map_ahead(pool, partial(_is_there, source), refs, ahead=ASKED_AT_ONCE)
        return [ref for ref, same in zip(refs, there, strict=True) if same]


def _is_there(source: Store, ref: ImageRef) -> bool:
    info = source.head(unescaped(ref.key))
    return info is not None and info.etag == ref.etag
