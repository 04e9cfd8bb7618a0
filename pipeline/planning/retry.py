"""Failed and lost images tried again, as a job of its own.

A row is final and a plan never changes, so a second try of an image cannot be a second row of the first job. It is a
row of a following job: <job id>-retry1, then -retry2, with the settings of the first, its own plan and its own
manifest. Each of them has exactly one row for each of its inputs; the last job with an input tells its end. An input
that failed and is gone from the source is an input of the next retry, too, which skips it: so the manifests alone tell
that there is nothing left to do about it. An image that was set aside is not tried again: it waits for
`deqir accept`. An output gone from the destination is restored once more, from the same bytes with the same noise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from pipeline.errors import ConfigurationError
from pipeline.keys import Layout, unescaped
from pipeline.manifest.schema import ENDS, read_columns
from pipeline.shards import ImageRef, Version
from pipeline.status import DELIVERED, NOT_RESTORED, Status
from pipeline.store import Store
from pipeline.threads import map_on_threads

from .missing_outputs import Listing, is_gone, written
from .plan import create_plan, stored_plan, uncommitted

ASKED_AT_ONCE: Final = 8
GONE: Final = "gone from the source since it failed, or another version is there; if it comes back, retry again"


def open_retry(source: Store, destination: Store, base: str, *, shard_size: int) -> str:
    """Return the id of the retry for failed, conflicting and lost images, with its plan written.

    It is the last retry of the job `base`, if it is not finished; else a new retry, if something failed and was
    neither restored nor replaced since, or was restored and is gone; else the last job, which has nothing left to do.

    Raises:
        ConfigurationError: There is no such job.
    """
    jobs = tries_of(destination, base)
    if not jobs:
        raise ConfigurationError(
            f"{destination.url} holds no job {base}, so there is nothing to try again; run it without retry "
            "first, with the same settings (other weights of the prior, or another version of deqir, make another job)"
        )
    if len(jobs) > 1 and not finished(destination, jobs[-1]):
        return jobs[-1]
    refs = unsettled(source, destination, jobs)
    if not refs:
        return jobs[-1]
    new = retry_id(base, len(jobs))
    create_plan(destination, Layout(new), refs, shard_size=shard_size)
    return new


def retry_id(base: str, number: int) -> str:
    """Return the id of a retry by its number; 0 is the job itself."""
    return f"{base}-retry{number}" if number else base


def base_of(job_id: str) -> str:
    """Return the id of the first job, from the id of a retry or its own."""
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
    """True if every shard of a job has its part."""
    layout = Layout(job_id)
    return not uncommitted(destination, layout, stored_plan(destination, layout))


def unsettled(source: Store, destination: Store, jobs: Sequence[str]) -> list[ImageRef]:
    """Return the versions to try again: failed or lost ones that the source has.

    Failed versions missing in the source come with them, refused, so that they get `skipped` rows and count as failed
    no longer; but not if they are skipped already, or if a later version of the input was restored or is in the source.
    Versions refused for their names are left out: another try would end in the same way.
    """
    failed, lost = _undone(destination, jobs)
    undone = failed.keys() | lost
    keys = {key for key, _ in undone}
    planned = (ref for shard in stored_plan(destination, Layout(jobs[0])) for ref in shard.images if ref.key in keys)
    refs = [ref for ref in planned if ref.refusal is None]
    there = _there(source, [ref for ref in refs if (ref.key, ref.etag) in undone])
    found, settled = list[ImageRef](), set[str]()
    for ref in reversed(refs):  # the newest first
        end = failed.get((ref.key, ref.etag))
        if end is None or ref in there:
            settled.add(ref.key)
        if ref in there:
            found.append(ref)
        elif ref.key not in settled and end != Status.SKIPPED:
            found.append(replace(ref, output_key=None, refusal=GONE))
    return found[::-1]


def _undone(destination: Store, jobs: Sequence[str]) -> tuple[dict[Version, str], set[Version]]:
    """Return the statuses of versions that failed at last, and the delivered versions with missing outputs."""
    failed, doubtful = dict[Version, str](), dict[Version, list[str]]()
    there = Listing(destination)
    for layout in map(Layout, jobs):
        rows = read_columns(destination, layout, (*ENDS, "output_key", "samples"))
        for key, etag, status, output_key, samples in rows:
            version = key, etag
            if status in DELIVERED:
                failed.pop(version, None)
                missing = [each for each in written(layout, str(output_key), samples) if each not in there]
            elif status == Status.SET_ASIDE:
                failed.pop(version, None)
                missing = []
            elif status in NOT_RESTORED or version in failed:
                failed[version] = status
                missing = []
            else:
                continue
            if missing:
                doubtful[version] = missing
            else:
                doubtful.pop(version, None)
    # asked for once more: the listing may precede a row, and some file systems list names in another form
    gone = map_on_threads(ASKED_AT_ONCE, "lost", partial(is_gone, destination), doubtful.values())
    return failed, {version for version, lost in zip(doubtful, gone, strict=True) if lost}


def _there(source: Store, refs: Sequence[ImageRef]) -> set[ImageRef]:
    """Return the versions present in the source."""
    found = map_on_threads(ASKED_AT_ONCE, "retry", source.head, (unescaped(ref.key) for ref in refs))
    return {ref for ref, info in zip(refs, found, strict=True) if info is not None and info.etag == ref.etag}
