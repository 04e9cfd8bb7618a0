"""What became of an input in the end that has several versions, or had several tries.

A manifest keeps the row of every version. Which is the newest the plan tells: its generations are in the order in which
versions were found. The times of rows do not, as a shard that an interrupted run left over may be done last. Which are
gone from the source the retries tell, each as it was opened: a manifest alone is to say where a job stands.
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
    """Return the row of each input's newest version that has one, without those that a later retry found gone.

    Of an input whose newest version failed and is gone since, an older one tells: that which was restored, where it was
    put back. Where there is none the input has no row here. The plan is read only where an input has several versions,
    and the manifests of retries only where something failed.

    Args:
        destination: Where the jobs are.
        job_id: A job, or one of its retries.
        rows: All its rows; those that did not fail may be missing where they are their inputs' only ones.

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
    """Return the versions that failed and that the last retry that had them skipped, or that this one itself did."""
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
    """Return key and etag of what a job did not restore and what was made good since; without failures nothing is read.

    A later retry did that, in the same version; or, where this is a retry, the job itself, in a newer one. Of several
    tries the last counts: what was restored may have been lost, and have failed then.

    Args:
        destination: Where the jobs are.
        job_id: A job, or one of its retries.
        rows: Those of each input's newest version.

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
    """Return the rows of what later retries could not restore, by key and etag; without retries nothing is read.

    Of several tries of a version the last counts, but for one that found it gone.

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
    """Return the place of each version of some inputs in the plan of a job, or of the one that a retry is of."""
    shards = stored_plan(destination, Layout(base_of(job_id)))
    refs = (ref for shard in shards for ref in shard.images if ref.key in keys)
    return {(ref.key, ref.etag): place for place, ref in enumerate(refs)}
