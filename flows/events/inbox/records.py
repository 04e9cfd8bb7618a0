"""The records of the inbox: its entries, batches and counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A hint in the inbox.

    Attributes:
        key: Key below the source.
        version: Tag of the content; two contents of a key have different tags.
        at: Time of the event; None if unknown.
    """

    key: str
    version: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A group of hints for the same run.

    Attributes:
        id: Random, so unique in all inboxes.
        size: Number of hints.
        attempt: Number of the run for this batch, from 1.
        run: Id of the run; None before it is started.
    """

    id: str
    size: int
    attempt: int
    run: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Number of hints of an inbox in each state.

    Attributes:
        waiting: Hints in no batch.
        batched: Hints in a batch without a run.
        started: Hints in a batch whose run has not ended.
        ended: Hints in a batch with an ended run.
        dead_letters: Different unreadable messages.
        oldest_seconds: Age of the oldest waiting hint in seconds; 0 if no hint waits.
    """

    waiting: int
    batched: int
    started: int
    ended: int
    dead_letters: int
    oldest_seconds: float
