"""Hints that come again: what was done for an object before it was gone tells nothing of it once it is back.

A run plans what there is. An object that is gone by then and comes back later, the same bytes under the same key,
is a version that the inbox knows and no run has seen; it has to go into another batch. Where it was seen after all
that does no harm, as the plan has it already.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

LISTED: Final = "CREATE TEMP TABLE listed (hint INTEGER PRIMARY KEY)"  # what a listing shows, for one connection alone
_ENDED: Final = "EXISTS (SELECT 1 FROM batches WHERE batches.id = hints.batch AND state = 'ended')"


def take_later(db: sqlite3.Connection, rows: Iterable[tuple[str, str, float | None, float]]) -> None:
    """Make way for hints whose events happened later than what is known of the same versions.

    Those in a batch that has ended are forgotten, so that they can be added; those in one that has not are marked
    by their time and wait for its end. What a sender gives no time to is never later.

    Args:
        db: In an open transaction.
        rows: Key, version, when the event happened and when it came in, in seconds of Unix time.
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
    """Let the hints of a batch that has ended wait again, those that came again after it was closed."""
    db.execute(
        "INSERT OR REPLACE INTO hints (key, version, happened_at, received_at) "
        "SELECT key, version, happened_at, received_at FROM hints "
        f"WHERE batch = ? AND received_at > (SELECT closed_at FROM batches WHERE id = hints.batch) AND {_ENDED} "
        "ORDER BY id",
        (batch,),
    )


def forget_unlisted(db: sqlite3.Connection, *, before: float) -> int:
    """Forget the hints that a whole listing did not show; return how many that were.

    Only those whose batch has ended and that came in `before` the listing began, in seconds of Unix time. A listing
    that shows nothing known is taken for that of a disk that is not mounted, and nothing is forgotten.
    """
    return db.execute(
        "DELETE FROM hints WHERE batch IS NOT NULL AND received_at < ? AND id NOT IN (SELECT hint FROM listed) "
        f"AND EXISTS (SELECT 1 FROM listed) AND {_ENDED}",
        (before,),
    ).rowcount
