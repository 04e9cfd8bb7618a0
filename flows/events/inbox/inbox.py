"""The durable inbox: each hint at a version of an object once, with its last batch.

The inbox is an SQLite file, written by the threads of a single process at a time, or by several processes in turn.
Each change is on disk when its call returns, so the process may be killed at any moment. A hint waits until a batch
is closed. A batch's id is on disk before its run is started, so that after a kill the next process starts the same
batch under the same id. The id is random: the same hints in another inbox, or a second time in this inbox, are
another batch with its own run.
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
    """The hints at new objects of a source, for a deployment.

    Attributes:
        source: The source, as the deployment names it.
    """

    def __init__(self, connection: sqlite3.Connection, *, source: str) -> None:
        self.source = source
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, /, *, source: str, deployment: str) -> Inbox:
        """Return the inbox in a file, which is created if missing.

        Raises:
            ConfigurationError: The file cannot be used, or is the inbox of another source or deployment.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            with ExitStack() as stack:
                inbox = cls(stack.enter_context(closing(connection)), source=source)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")  # a message that leaves a queue must be on disk here
                connection.execute(LISTED)
                with inbox._writing() as db:
                    prepare(db, path, source=source, deployment=deployment)
                stack.pop_all()
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                f"{path} cannot be the inbox: {error}; give --inbox a writable file on a local disk"
            ) from error
        return inbox

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def add(self, entries: Iterable[Entry], /) -> int:
        """Add the new hints, and return their number.

        A hint is new if the inbox does not know its version, or if its event happened later than the known event of
        this version and the known hint's batch has ended. If the batch has not ended, the hint waits for its end.
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
        """Begin a listing of the source; pass its parts to `unseen`. An earlier unfinished listing is discarded."""
        with self._lock:
            self._connection.execute("DELETE FROM listed")

    def unseen(self, listed: Iterable[Entry], /) -> list[Entry]:
        """Return the entries in a part of a listing unknown to the inbox."""
        known, ids, new = "SELECT id FROM hints WHERE key = ? AND version = ?", [], []
        with self._writing("BEGIN") as db:  # writes the temporary table only, not the file
            for entry in listed:
                if found := db.execute(known, _names(entry)).fetchone():
                    ids.append(found)
                else:
                    new.append(entry)
            db.executemany("INSERT OR IGNORE INTO listed VALUES (?)", ids)
        return new

    def end_listing(self, *, began: float) -> int:
        """Delete the hints of ended batches missing in the complete listing, and return their number.

        Args:
            began: Start of the listing in seconds of Unix time; newer hints are kept.
        """
        with self._writing() as db:
            return forget_unlisted(db, before=began)

    def bury(self, body: bytes, /, *, origin: str, reason: str) -> None:
        """Keep the first 64 KiB of an unreadable message; repeated messages are counted."""
        now = time.time()
        row = (hashlib.sha256(body).digest(), origin, reason, body[:LONGEST_LETTER], now, now)
        with self._writing() as db:
            db.execute(
                "INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, 1) "
                "ON CONFLICT (digest) DO UPDATE SET last_at = excluded.last_at, times = times + 1",
                row,
            )

    def waiting(self) -> tuple[int, float]:
        """Return the number of hints in no batch, and the age of the first of them in seconds."""
        with self._lock:
            return self._waiting()

    def close_batch(self, size: int, /) -> Batch | None:
        """Put the `size` oldest waiting hints into a batch, and return it; None if no hint waits."""
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
        """Return the time of a batch's first event in seconds of Unix time; None if no event has a time."""
        with self._lock:
            (first,) = self._connection.execute(
                "SELECT min(happened_at) FROM hints WHERE batch = ?", (batch.id,)
            ).fetchone()
        return None if first is None else float(first)

    def to_start(self) -> tuple[Batch, ...]:
        """Return the due batches without a run, in the order of their closing."""
        return self._batches("state = 'batched' AND not_before <= ?", time.time())

    def running(self) -> tuple[Batch, ...]:
        """Return the batches whose run is not yet recorded as ended."""
        return self._batches("state = 'started'")

    def started(self, batch: Batch, run: str, /) -> None:
        """Record the run of a batch."""
        self._update(batch, "state = 'started', run = ?", run)

    def ended(self, batch: Batch, outcome: str, /) -> None:
        """Record the final end of a batch's run. Hints that came again meanwhile wait for another batch."""
        with self._writing() as db:
            _change(db, batch, "state = 'ended', outcome = ?", outcome)
            release(db, batch.id)

    def try_again(self, batch: Batch, /, *, seconds: float) -> None:
        """Let a batch wait for another run, `seconds` from now."""
        self._update(
            batch, "state = 'batched', run = NULL, attempt = attempt + 1, not_before = ?", time.time() + seconds
        )

    def counts(self) -> Counts:
        """Return the number of hints in each state."""
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
        """Give the connection for a transaction, on disk when the block ends."""
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
