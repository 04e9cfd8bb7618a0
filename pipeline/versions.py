"""What became of an input in the end that has several versions, or had several tries.

A manifest keeps the row of every version. Which is the newest the plan tells: its generations are in the order in which
versions were found. The times of rows do not, as a shard that an interrupted run left over may be done last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence

from .keys import Layout
from .manifest import NOT_RESTORED, ManifestRow, Status, read_ends
from .plan import stored_plan
from .retrying import base_of, number_of, tries_of
from .store import Store


def newest(destination: Store, job_id: str, rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """Return the row of each input's newest version that has one; the plan is read only where one has several.

    Args:
        destination: Where the jobs are.
        job_id: A job, or one of its retries.
        rows: All its rows.

    Raises:
        ConfigurationError: The plan cannot be read.
    """
    count = Counter(row.source_key for row in rows)
    several = {key for key, number in count.items() if number > 1}
    if not several:
        return list(rows)
    found = _order(destination, job_id, several)
    last = dict[str, ManifestRow]()
    for row in sorted(rows, key=lambda row: found.get(_version(row), -1)):
        last[row.source_key] = row
    return list(last.values())


def restored_since(destination: Store, job_id: str, rows: Iterable[ManifestRow]) -> frozenset[tuple[str, str]]:
    """Return key and etag of what a job did not restore and what was made good since; without failures nothing is read.

    A later retry did that, in the same version; or, where this is a retry, the job itself, in a newer one.

    Args:
        destination: Where the jobs are.
        job_id: A job, or one of its retries.
        rows: Those of each input's newest version.

    Raises:
        ConfigurationError: A manifest or the plan cannot be read.
    """
    failed = {_version(row) for row in rows if row.status in NOT_RESTORED}
    if not failed:
        return frozenset()
    base, number = base_of(job_id), number_of(job_id)
    others = [*([base] if number else []), *tries_of(destination, base, first=number + 1)]
    ends = (end for other in others for end in read_ends(destination, Layout(other)))
    restored = {(key, etag) for key, etag, status in ends if status == Status.RESTORED}
    left = failed - restored
    doubtful = {key for key, _ in left} & {key for key, _ in restored}
    found = _order(destination, job_id, doubtful) if doubtful else {}
    last = {key: at for (key, etag), at in found.items() if (key, etag) in restored}  # in order: the newest stays
    newer = {version for version in left if last.get(version[0], -1) > found.get(version, -1)}
    return frozenset(failed & restored | newer)


def _version(row: ManifestRow) -> tuple[str, str]:
    return row.source_key, row.source_etag


def _order(destination: Store, job_id: str, keys: Container[str]) -> dict[tuple[str, str], int]:
    """Return the place of each version of some inputs in the plan of a job, or of the one that a retry is of."""
    shards = stored_plan(destination, Layout(base_of(job_id)))
    refs = (ref for shard in shards for ref in shard.images if ref.key in keys)
    return {(ref.key, ref.etag): place for place, ref in enumerate(refs)}
