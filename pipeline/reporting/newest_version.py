"""The end of inputs with several versions or several tries.

A manifest keeps the row of every version. The plan tells the newest: its generations are in the order in which versions
were found. The times of rows do not tell it, as a shard left over by an interrupted run may be done last. Retries tell
the versions gone from the source, each as of its opening: manifests alone are enough to know the state of a job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence

from pipeline.keys import Layout
from pipeline.manifest.brief import Brief, decode_briefs
from pipeline.manifest.schema import map_parts, part_keys, read_ends
from pipeline.planning.plan import stored_plan
from pipeline.planning.retry import base_of, number_of, tries_of
from pipeline.status import NOT_RESTORED, Status
from pipeline.store import Store


def newest(destination: Store, job_id: str, rows: Sequence[Brief]) -> list[Brief]:
    """Return the row of each input's newest version with a row, without versions that a later retry found gone.

    If the newest version of an input failed and is gone, an older version counts: the restored one if it was put back.
    Without an older version the input has no row here. The plan is read only if an input has several versions, and the
    manifests of retries only if something failed.

    Args:
        destination: Where the jobs are.
        job_id: A job, or one of its retries.
        rows: All its rows; the only row of an input may be missing if it did not fail.

    Raises:
        ConfigurationError: A manifest or the plan cannot be read.
    """
    gone = _gone_since(destination, job_id, rows)
    count = Counter(row.source_key for row in rows)
    several = {key for key, number in count.items() if number > 1}
    if several:
        found = _order(destination, job_id, several)
        rows = sorted(rows, key=lambda row: (version_of(row) not in gone, found.get(version_of(row), -1)))
    last = {row.source_key: row for row in rows}
    return [row for row in last.values() if row.status not in NOT_RESTORED or version_of(row) not in gone]


def _gone_since(destination: Store, job_id: str, rows: Iterable[Brief]) -> set[tuple[str, str]]:
    """Return the failed versions skipped by the last retry that had them, or skipped by this retry itself."""
    number = number_of(job_id)
    gone = {version_of(row) for row in rows if number and row.status == Status.SKIPPED}
    failed = {version_of(row) for row in rows if row.status in NOT_RESTORED}
    if not failed:
        return gone
    retries = tries_of(destination, base_of(job_id), first=number + 1)
    ends = (end for retry in retries for end in read_ends(destination, Layout(retry)))
    last = {(key, etag): status for key, etag, status in ends if (key, etag) in failed}
    return gone | {version for version in failed if last.get(version) == Status.SKIPPED}


def restored_since(destination: Store, job_id: str, rows: Iterable[Brief]) -> frozenset[tuple[str, str]]:
    """Return key and etag of a job's failures that were restored since; without failures nothing is read.

    A later retry restored the same version; or, if this is a retry, the job itself restored a newer one. Of several
    tries the last counts: a restored image may have been lost, and its next try may have failed.

    Args:
        destination: Where the jobs are.
        job_id: A job, or one of its retries.
        rows: Rows of each input's newest version.

    Raises:
        ConfigurationError: A manifest or the plan cannot be read.
    """
    failed = {version_of(row) for row in rows if row.status in NOT_RESTORED}
    if not failed:
        return frozenset()
    base, number = base_of(job_id), number_of(job_id)
    keys, last = {key for key, _ in failed}, dict[tuple[str, str], str]()
    for other in [*([base] if number else []), *tries_of(destination, base, first=number + 1)]:
        ends = read_ends(destination, Layout(other))
        last |= {(key, etag): status for key, etag, status in ends if key in keys}
        if number and other == base:  # of what failed here the job's own row is older
            last = {version: status for version, status in last.items() if version not in failed}
    restored = {version for version, status in last.items() if status == Status.RESTORED}
    left = failed - restored
    doubtful = {key for key, _ in left} & {key for key, _ in restored}
    found = _order(destination, job_id, doubtful) if doubtful else {}
    latest = {key: at for (key, etag), at in found.items() if (key, etag) in restored}  # in order: the newest stays
    newer = {version for version in left if latest.get(version[0], -1) > found.get(version, -1)}
    return frozenset(failed & restored | newer)


def failed_since(destination: Store, job_id: str) -> dict[tuple[str, str], Brief]:
    """Return the rows of later retries' failures, by key and etag; without retries nothing is read.

    Of several tries of a version the last counts, unless it found the version gone.

    Raises:
        ConfigurationError: A manifest cannot be read.
    """
    found = dict[tuple[str, str], Brief]()
    for retry in tries_of(destination, base_of(job_id), first=number_of(job_id) + 1):
        for rows, _ in map_parts(destination, part_keys(destination, Layout(retry)), decode_briefs):
            for row in rows:
                if row.status == Status.RESTORED:
                    found.pop(version_of(row), None)
                elif row.status in NOT_RESTORED:
                    found[version_of(row)] = row
    return found


def version_of(row: Brief) -> tuple[str, str]:
    """Return key and etag of a row's input."""
    return row.source_key, row.source_etag


def _order(destination: Store, job_id: str, keys: Container[str]) -> dict[tuple[str, str], int]:
    """Return the place of each version of some inputs in the plan of a job, or of a retry's first job."""
    shards = stored_plan(destination, Layout(base_of(job_id)))
    refs = (ref for shard in shards for ref in shard.images if ref.key in keys)
    return {(ref.key, ref.etag): place for place, ref in enumerate(refs)}
