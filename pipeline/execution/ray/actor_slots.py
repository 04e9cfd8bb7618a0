"""Seats of actors as the driver sees them, and which of them are to be given a shard."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.errors import uncoloured
from pipeline.execution.progress import Progress
from pipeline.shards import Shard

MAX_STRIKES: Final = 3
START_SECONDS: Final = 60.0


@dataclass(slots=True, kw_only=True, eq=False)
class Seat:
    """A share of the cluster, such as a GPU, with its present actor and its unanswered calls.

    Attributes:
        number: From 1, for people.
        place: Machine and GPU, as its last actor said.
        hired: When its actor was asked for, on the monotonic clock.
        strikes: Actors lost in a row.
        last_error: Error of the last lost actor.
        put_aside: The log has a warning of its exclusion.
        failed: Ids of shards with a failure here.
    """

    number: int
    handle: Any
    started: Future[Any]
    hired: float = field(default_factory=time.monotonic)
    place: str = ""
    strikes: int = 0
    last_error: BaseException | None = None
    put_aside: bool = False
    failed: set[str] = field(default_factory=set)
    shard: Shard | None = None
    call: Future[Any] | None = None
    poll: Future[Any] | None = None
    progress: Progress = field(default_factory=Progress)

    @property
    def ready(self) -> bool:
        return self.started.done() and self.shard is None

    @property
    def up(self) -> bool:
        return self.started.done() and self.started.exception() is None

    def renew(self, handle: Any, started: Future[Any]) -> None:
        """Have a new actor here."""
        self.handle, self.started, self.hired, self.poll = handle, started, time.monotonic(), None

    def lost(self, error: BaseException) -> None:
        """Count a lost actor."""
        self.strikes += 1
        self.last_error = error

    @property
    def complaint(self) -> str:
        """The warning of an excluded seat, for an operator."""
        return (
            f"actor {self.number} on {self.place or 'a machine that never answered'} gets no more shards while others "
            f"work: {self.strikes} in a row died or broke there; look at that machine and its GPU. The last error was "
            f"{type(self.last_error).__name__}: {uncoloured(str(self.last_error))}"
        )

    def succeeded(self) -> None:
        """Note a success of the actor."""
        self.strikes, self.put_aside = 0, False


def usable(seats: Sequence[Seat]) -> list[Seat]:
    """Return the seats for shards: seats with fewer than `MAX_STRIKES` lost actors in a row.

    The others are used where there are no such seats. One whose actor has not come up for long does not count.
    """
    now = time.monotonic()
    there = [seat for seat in seats if seat.up or now - seat.hired < START_SECONDS]
    return [seat for seat in there if seat.strikes < MAX_STRIKES] or there or list(seats)


def suits(seat: Seat, among: Sequence[Seat], shard: Shard) -> bool:
    """True if a shard may go to a seat: it has not failed there, or has failed on all seats `among` them."""
    return shard.id not in seat.failed or all(shard.id in other.failed for other in among)
