"""The status of an input in the manifest, and counts of images by status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """The end of an input, as its manifest row records it.

    `unchanged`: nothing to restore was found, and the source's bytes are copied. `set_aside`: restored, but not
    trusted; it is kept apart until somebody accepts it.
    """

    RESTORED = "restored"
    UNCHANGED = "unchanged"
    SET_ASIDE = "set_aside"
    FAILED = "failed"
    SKIPPED = "skipped"
    CONFLICT = "conflict"


NOT_RESTORED: Final = frozenset((Status.FAILED, Status.CONFLICT))
"""Statuses of inputs that should have been restored and were not."""
DELIVERED: Final = frozenset((Status.RESTORED, Status.UNCHANGED))
"""Statuses of inputs with an object at their output key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Numbers of images by status."""

    restored: int = 0
    unchanged: int = 0
    set_aside: int = 0
    failed: int = 0
    skipped: int = 0
    conflicts: int = 0

    @classmethod
    def of(cls, statuses: Iterable[str]) -> Counts:
        """Return the counts of some statuses."""
        count = Counter(statuses)
        return cls(
            restored=count[Status.RESTORED],
            unchanged=count[Status.UNCHANGED],
            set_aside=count[Status.SET_ASIDE],
            failed=count[Status.FAILED],
            skipped=count[Status.SKIPPED],
            conflicts=count[Status.CONFLICT],
        )

    @property
    def total(self) -> int:
        """Images of any status."""
        return self.solved + self.unchanged + self.failed + self.skipped + self.conflicts

    @property
    def solved(self) -> int:
        """Images that the network restored, delivered or set aside."""
        return self.restored + self.set_aside

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            restored=self.restored + other.restored,
            unchanged=self.unchanged + other.unchanged,
            set_aside=self.set_aside + other.set_aside,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
            conflicts=self.conflicts + other.conflicts,
        )


NO_IMAGES: Final = Counts()
