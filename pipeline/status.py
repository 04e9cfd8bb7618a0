"""The status of an input in the manifest, and counts of images by status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """The end of an input, as its manifest row records it."""

    RESTORED = "restored"
    FAILED = "failed"
    SKIPPED = "skipped"
    CONFLICT = "conflict"


NOT_RESTORED: Final = frozenset((Status.FAILED, Status.CONFLICT))
"""Statuses of inputs that should have been restored and were not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Numbers of images by status."""

    restored: int = 0
    failed: int = 0
    skipped: int = 0
    conflicts: int = 0

    @classmethod
    def of(cls, statuses: Iterable[str]) -> Counts:
        """Return the counts of some statuses."""
        count = Counter(statuses)
        return cls(
            restored=count[Status.RESTORED],
            failed=count[Status.FAILED],
            skipped=count[Status.SKIPPED],
            conflicts=count[Status.CONFLICT],
        )

    @property
    def total(self) -> int:
        """Images of any status."""
        return self.restored + self.failed + self.skipped + self.conflicts

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            restored=self.restored + other.restored,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
            conflicts=self.conflicts + other.conflicts,
        )


NO_IMAGES: Final = Counts()
