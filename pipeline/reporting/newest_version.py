"""The end of inputs with several versions or several tries.

A manifest keeps the row of every version. The plan tells the newest: its generations are in the order in which versions
were found. The times of rows do not tell it, as a shard left over by an interrupted run may be done last. Retries tell
the versions gone from the source, each as of its opening: manifests alone are enough to know the state of a job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Sequence

from pipeline.keys import Layout
from pipeline.manifest.accepted import accepted_versions
from pipeline.manifest.brief import Brief, decode_briefs
from pipeline.manifest.schema import map_objects, part_keys, read_columns
from pipeline.planning.plan import stored_plan
from pipeline.planning.retry import base_of, number_of, tries_of
from pipeline.shards import Version
from pipeline.status import DELIVERED, NOT_RESTORED, Status
from pipeline.store import Store


def newest(destination: Store, job_id: str, rows: Sequence[Brief]) -> list[Brief]:
    """Return the row of each input's newest version with a row, without versions that a later retry found gone.

    If the newest version of an input failed and is gone, an older version counts: the restored one if it was put back.
    Without an older version the input has no row here. The plan is read only if an input has several versions, and the
    manifests of retries only if something failed.

    Args:
        destination, job_id: The job, or one of its retries.
        rows: All its rows; the only row of an input may be missing if it did not fail.

    Raises:
        ConfigurationError: A manifest or the plan cannot be read.
    """
    failed = {row.version for row in rows if row.status in NOT_RESTORED}
    ends = _ends_since(destination, job_id, {key for key, _ in failed})
    gone = {version for version in failed if ends.get(version) == Status.SKIPPED}
    if number_of(job_id):  # a retry itself skips versions that are gone
        gone |= {row.version for row in rows if row.status == Status.SKIPPED}
    count = Counter(row.source_key for row in rows)
    several = {key for key, number in count.items() if number > 1}
    if several:
        found = _order(destination, job_id, several)
        rows = sorted(rows, key=lambda row: (row.version not in gone, found.get(row.version, -1)))
    last = {row.source_key: row for row in rows}
    return [row for row in last.values() if row.status not in NOT_RESTORED or row.version not in gone]


def restored_since(destination: Store, job_id: str, rows: Iterable[Brief]) -> frozenset[Version]:
    """Return key and etag of a job's failures that were delivered since; without failures nothing is read.

    A later retry restored the same version or found nothing to restore in it, or set it aside and it was accepted; or,
    if this is a retry, the job itself delivered a newer version. Of several
    tries the last counts: a restored image may have been lost, and its next try may have failed.

    Args:
        destination, job_id: The job, or one of its retries.
        rows: Rows of each input's newest version.

    Raises:
        ConfigurationError: A manifest or the plan cannot be read.
    """
    failed = {row.version for row in rows if row.status in NOT_RESTORED}
    if not failed:
        return frozenset()
    keys = {key for key, _ in failed}
    earlier = read_columns(destination, Layout(base_of(job_id))) if number_of(job_id) else ()
    last = {(key, etag): status for key, etag, status in earlier if key in keys and (key, etag) not in failed}
    last |= _ends_since(destination, job_id, keys)
    restored = {version for version, status in last.items() if status in DELIVERED}
    aside = {version for version, status in last.items() if status == Status.SET_ASIDE}
    restored |= aside & accepted_since(destination, base_of(job_id)) if aside else set()
    left = failed - restored
    doubtful = {key for key, _ in left} & {key for key, _ in restored}
    found = _order(destination, job_id, doubtful) if doubtful else {}
    latest = {key: at for (key, etag), at in found.items() if (key, etag) in restored}  # in order: the newest stays
    newer = {version for version in left if latest.get(version[0], -1) > found.get(version, -1)}
    return frozenset(failed & restored | newer)


def accepted_since(destination: Store, job_id: str) -> set[Version]:
    """Return key and etag of the accepted images of a job and of its later retries.

    Raises:
        ConfigurationError: A record of accepted images cannot be read.
    """
    tries = tries_of(destination, base_of(job_id), first=number_of(job_id))
    return set().union(*(accepted_versions(destination, Layout(each)) for each in tries))


def undelivered_since(destination: Store, job_id: str) -> dict[Version, Brief]:
    """Return the rows of images that later retries did not deliver, by key and etag; without retries nothing is read.

    Of several tries of a version the last counts, unless it found the version gone.

    Raises:
        ConfigurationError: A manifest cannot be read.
    """
    found = dict[Version, Brief]()
    for retry in tries_of(destination, base_of(job_id), first=number_of(job_id) + 1):
        for rows, _ in map_objects(destination, part_keys(destination, Layout(retry)), decode_briefs):
            for row in rows:
                if row.status in DELIVERED:
                    found.pop(row.version, None)
                elif row.status in NOT_RESTORED or row.status == Status.SET_ASIDE:
                    found[row.version] = row
    return found


def _ends_since(destination: Store, job_id: str, keys: Collection[str]) -> dict[Version, str]:
    """Return the last status of each version of some inputs in later retries; without inputs nothing is read."""
    retries = tries_of(destination, base_of(job_id), first=number_of(job_id) + 1) if keys else []
    ends = (end for retry in retries for end in read_columns(destination, Layout(retry)))
    return {(key, etag): status for key, etag, status in ends if key in keys}


def _order(destination: Store, job_id: str, keys: Container[str]) -> dict[Version, int]:
    """Return the place of each version of some inputs in the plan of a job, or of a retry's first job."""
    shards = stored_plan(destination, Layout(base_of(job_id)))
    refs = (ref for shard in shards for ref in shard.images if ref.key in keys)
    return {(ref.key, ref.etag): place for place, ref in enumerate(refs)}
