"""The durable inbox: every hint at a version of an object once, and the batch that it went into last.

One SQLite file, written by the threads of one process at a time or by several processes in turn. Whatever is told
to it is on disk when the call returns, so the process may be killed at any moment. A hint waits until a batch is
closed; a batch's id is on disk before anything is started for it, so that whoever comes after a kill starts the same
batch under the same name. The id is random: the same hints in another inbox, or once again in this one, are another
batch with a run of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from pipeline.errors import ConfigurationError

from .reappeared import LISTED, forget_unlisted, release, take_later
from .records import Batch, Counts, Entry
from .schema import prepare

BUSY_SECONDS: Final = 30
ADDED_AT_ONCE: Final = 1000
LONGEST_LETTER: Final = 64 * 1024
_UNFINISHED: Final = "SELECT state, sum(size) FROM batches WHERE state != 'ended' GROUP BY state"


class Inbox:
    """What is known of the new objects of one source, for one deployment.

    Attributes:
        source: The source, as the deployment names it.
    """

    def __init__(self, connection: sqlite3.Connection, *, source: str) -> None:
        self.source = source
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, /, *, source: str, deployment: str) -> Inbox:
        """Return the inbox in a file, which is made if it is not there.

        Raises:
            ConfigurationError: The file cannot be used, or is the inbox of something else.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            with ExitStack() as stack:
                inbox = cls(stack.enter_context(closing(connection)), source=source)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")  # what leaves a queue must be on disk here
                connection.execute(LISTED)
                with inbox._writing() as db:
                    prepare(db, path, source=source, deployment=deployment)
                stack.pop_all()
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                f"{path} cannot be the inbox: {error}; give --inbox a file on a local disk that we may write to"
            ) from error
        return inbox

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def add(self, entries: Iterable[Entry], /) -> int:
        """Keep hints, those that are new; return how many that were.

        New is a version that the inbox does not know, or that an event tells of which happened later than what is
        known, if its batch has ended; if not, it is new when that ends.
        """
        now, new, rest = time.time(), 0, iter(entries)
        while some := list(itertools.islice(rest, ADDED_AT_ONCE)):
            rows = [(*_names(e), e.at.timestamp() if e.at else None, now) for e in some]
            with self._writing() as db:
                take_later(db, rows)
                before = db.total_changes
                db.executemany(
                    "INSERT INTO hints (key, version, happened_at, received_at) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT DO NOTHING",
                    rows,
                )
                new += db.total_changes - before
        return new

    def begin_listing(self) -> None:
        """Begin a listing of the source, whose parts `unseen` is told; one that did not come to its end is void."""
        with self._lock:
            self._connection.execute("DELETE FROM listed")

    def unseen(self, listed: Iterable[Entry], /) -> list[Entry]:
        """Return those of a part of a listing that the inbox does not know."""
        known, ids, new = "SELECT id FROM hints WHERE key = ? AND version = ?", [], []
        with self._writing("BEGIN") as db:  # nothing to the file itself
            for entry in listed:
                if found := db.execute(known, _names(entry)).fetchone():
                    ids.append(found)
                else:
                    new.append(entry)
            db.executemany("INSERT OR IGNORE INTO listed VALUES (?)", ids)
        return new

    def end_listing(self, *, began: float) -> int:
        """Forget what a listing that came to its end has not shown, if its batch has ended; return how much that was.

        Args:
            began: When the listing began, in seconds of Unix time; what came in since then is kept.
        """
        with self._writing() as db:
            return forget_unlisted(db, before=began)

    def bury(self, body: bytes, /, *, origin: str, reason: str) -> None:
        """Keep a message that nobody could read, its first 64 KiB; one that comes again is counted."""
        now = time.time()
        row = (hashlib.sha256(body).digest(), origin, reason, body[:LONGEST_LETTER], now, now)
        with self._writing() as db:
            db.execute(
                "INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, 1) "
                "ON CONFLICT (digest) DO UPDATE SET last_at = excluded.last_at, times = times + 1",
                row,
            )

    def waiting(self) -> tuple[int, float]:
        """Return how many hints are in no batch, and for how many seconds the first of them has been."""
        with self._lock:
            return self._waiting()

    def close_batch(self, size: int, /) -> Batch | None:
        """Put the `size` hints that have waited longest into a batch, and return it; None if none waits any more."""
        with self._writing() as db:
            rows = db.execute("SELECT id FROM hints WHERE batch IS NULL ORDER BY id LIMIT ?", (size,)).fetchall()
            if not rows:
                return None
            batch = Batch(id=secrets.token_hex(8), size=len(rows), attempt=1, run=None)
            db.execute(
                "INSERT INTO batches (id, size, closed_at, state, attempt, not_before) "
                "VALUES (?, ?, ?, 'batched', 1, 0)",
                (batch.id, batch.size, time.time()),
            )
            db.executemany("UPDATE hints SET batch = ? WHERE id = ?", ((batch.id, *row) for row in rows))
        return batch

    def keys_of(self, batch: Batch, /) -> tuple[str, ...]:
        """Return the different keys of a batch, in order."""
        with self._lock:
            rows = self._connection.execute("SELECT DISTINCT key FROM hints WHERE batch = ?", (batch.id,))
            return tuple(sorted(json.loads(key) for (key,) in rows))

    def happened(self, batch: Batch, /) -> float | None:
        """Return when the first event of a batch happened, in seconds of Unix time; None if no sender said."""
        with self._lock:
            (first,) = self._connection.execute(
                "SELECT min(happened_at) FROM hints WHERE batch = ?", (batch.id,)
            ).fetchone()
        return None if first is None else float(first)

    def to_start(self) -> tuple[Batch, ...]:
        """Return the batches that have no run and are due, the first closed first."""
        return self._batches("state = 'batched' AND not_before <= ?", time.time())

    def running(self) -> tuple[Batch, ...]:
        """Return the batches whose run is not known to have ended."""
        return self._batches("state = 'started'")

    def started(self, batch: Batch, run: str, /) -> None:
        """Keep that a batch has a run."""
        self._update(batch, "state = 'started', run = ?", run)

    def ended(self, batch: Batch, outcome: str, /) -> None:
        """Keep that a batch's run has ended, for good; what came again in the meantime waits for another batch."""
        with self._writing() as db:
            _change(db, batch, "state = 'ended', outcome = ?", outcome)
            release(db, batch.id)

    def try_again(self, batch: Batch, /, *, seconds: float) -> None:
        """Keep that a batch needs another run, `seconds` from now."""
        self._update(
            batch, "state = 'batched', run = NULL, attempt = attempt + 1, not_before = ?", time.time() + seconds
        )

    def counts(self) -> Counts:
        """Return where everything stands."""
        with self._lock:
            states = dict(self._connection.execute(_UNFINISHED).fetchall())
            (batched,) = self._connection.execute("SELECT count(*) FROM hints WHERE batch IS NOT NULL").fetchone()
            (dead,) = self._connection.execute("SELECT count(*) FROM dead_letters").fetchone()
            waiting, oldest = self._waiting()
        return Counts(
            waiting=waiting,
            batched=states.get("batched", 0),
            started=states.get("started", 0),
            ended=batched - sum(states.values()),
            dead_letters=dead,
            oldest_seconds=oldest,
        )

    def _waiting(self) -> tuple[int, float]:
        (count,) = self._connection.execute("SELECT count(*) FROM hints WHERE batch IS NULL").fetchone()
        first = self._connection.execute(
            "SELECT received_at FROM hints WHERE batch IS NULL ORDER BY id LIMIT 1"
        ).fetchone()
        return count, max(0.0, time.time() - first[0]) if first else 0.0

    def _batches(self, where: str, *values: float) -> tuple[Batch, ...]:
        with self._lock:
            rows = self._connection.execute(
                f"SELECT id, size, attempt, run FROM batches WHERE {where} ORDER BY closed_at, id", values
            ).fetchall()
        return tuple(Batch(id=id, size=size, attempt=attempt, run=run) for id, size, attempt, run in rows)

    def _update(self, batch: Batch, change: str, value: str | float) -> None:
        with self._writing() as db:
            _change(db, batch, change, value)

    @contextmanager
    def _writing(self, begin: str = "BEGIN IMMEDIATE", /) -> Iterator[sqlite3.Connection]:
        """Give the connection for one transaction, on disk when the block ends."""
        with self._lock:
            self._connection.execute(begin)
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _names(entry: Entry) -> tuple[str, str]:
    return json.dumps(entry.key), json.dumps(entry.version)


def _change(db: sqlite3.Connection, batch: Batch, change: str, value: str | float) -> None:
    db.execute(f"UPDATE batches SET {change} WHERE id = ? AND attempt = ?", (value, batch.id, batch.attempt))
