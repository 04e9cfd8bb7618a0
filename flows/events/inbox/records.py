"""What the inbox tells and is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A hint as the inbox keeps it.

    Attributes:
        key: Key below the source.
        version: What tells two contents of the key apart.
        at: When it happened, as far as known.
    """

    key: str
    version: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Hints that go into one run.

    Attributes:
        id: Random, so that no other batch has it in any inbox.
        size: How many those are.
        attempt: Which run of it this is to be, from 1.
        run: The id of that run, once it is started.
    """

    id: str
    size: int
    attempt: int
    run: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Where everything in an inbox stands.

    Attributes:
        waiting, batched, started, ended: Hints in no batch; in one that has no run; in one whose run has not
            ended, or has.
        dead_letters: Different messages that nobody could read.
        oldest_seconds: How long the oldest waiting hint has waited; 0 without one.
    """

    waiting: int
    batched: int
    started: int
    ended: int
    dead_letters: int
    oldest_seconds: float
