"""Decide when waiting hints become a batch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRule:
    """A batch is closed when it is full, or when its oldest hint has waited long enough.

    Attributes:
        size: Most hints in a batch.
        seconds: Longest time for a hint to wait for others.
    """

    size: int
    seconds: float

    def due(self, *, waiting: int, oldest: float) -> int:
        """Return the number of hints to put into a batch now, the oldest first; 0 if no batch is due.

        Args:
            waiting: Number of hints in no batch.
            oldest: Seconds since the first of them came in.
        """
        if waiting >= self.size:
            return self.size
        return waiting if oldest >= self.seconds else 0
