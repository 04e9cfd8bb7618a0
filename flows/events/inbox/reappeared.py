"""Put a version into another batch if its object was deleted and has come back.

A run plans the objects that exist at its start. If an object is gone by then and the same bytes come back later
under the same key, the inbox knows this version but no run has seen it: it must go into another batch. This does no
harm if a run has seen it, as the plan contains it already.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

LISTED: Final = "CREATE TEMP TABLE listed (hint INTEGER PRIMARY KEY)"  # hints in a listing; seen by its connection only
_ENDED: Final = "EXISTS (SELECT 1 FROM batches WHERE batches.id = hints.batch AND state = 'ended')"


def take_later(db: sqlite3.Connection, rows: Iterable[tuple[str, str, float | None, float]]) -> None:
    """Prepare for hints with later events of versions known to the inbox.

    If the known hint's batch has ended, the hint is deleted, so that it can be added again. Else it gets the later
    time and waits for the end of the batch. An event without a time is never later.

    Args:
        db: Connection in an open transaction.
        rows: Key, version, time of the event and time of arrival, in seconds of Unix time.
    """
    later = [(key, version, at, now) for key, version, at, now in rows if at is not None]
    known = "key = ? AND version = ? AND batch IS NOT NULL AND coalesce(happened_at, received_at) < ?"
    db.executemany(
        f"DELETE FROM hints WHERE {known} AND {_ENDED}", ((key, version, at) for key, version, at, _ in later)
    )
    db.executemany(
        f"UPDATE hints SET happened_at = ?, received_at = ? WHERE {known}",
        ((at, now, key, version, at) for key, version, at, now in later),
    )


def release(db: sqlite3.Connection, batch: str) -> None:
    """Let the hints of an ended batch wait again if they came again after the batch was closed."""
    db.execute(
        "INSERT OR REPLACE INTO hints (key, version, happened_at, received_at) "
        "SELECT key, version, happened_at, received_at FROM hints "
        f"WHERE batch = ? AND received_at > (SELECT closed_at FROM batches WHERE id = hints.batch) AND {_ENDED} "
        "ORDER BY id",
        (batch,),
    )


def forget_unlisted(db: sqlite3.Connection, *, before: float) -> int:
    """Delete the hints missing in a complete listing, and return their number.

    Only hints of an ended batch are deleted, and only if they came in `before` the listing began (seconds of Unix
    time). If the listing shows no known hint, nothing is deleted: a disk may not be mounted.
    """
    return db.execute(
        "DELETE FROM hints WHERE batch IS NOT NULL AND received_at < ? AND id NOT IN (SELECT hint FROM listed) "
        f"AND EXISTS (SELECT 1 FROM listed) AND {_ENDED}",
        (before,),
    ).rowcount
