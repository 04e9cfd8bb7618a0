"""When hints that wait become a batch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRule:
    """A batch is closed when it is full, or when its oldest hint has waited long enough.

    Attributes:
        size: Most hints in a batch.
        seconds: Longest that a hint waits for company.
    """

    size: int
    seconds: float

    def due(self, *, waiting: int, oldest: float) -> int:
        """Return how many hints the batch to be closed now takes, the oldest first; 0: none is due.

        Args:
            waiting: Hints that are in no batch.
            oldest: Seconds since the first of them came in.
        """
        if waiting >= self.size:
            return self.size
        return waiting if oldest >= self.seconds else 0
