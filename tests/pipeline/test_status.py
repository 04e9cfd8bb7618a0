"""Counts of images by status."""

from __future__ import annotations

from pipeline.status import Counts, Status


def test_every_status_is_counted_once_and_counts_add_up() -> None:
    each = Counts.of(Status)
    assert each == Counts(restored=1, unchanged=1, set_aside=1, failed=1, skipped=1, conflicts=1)
    assert each.total == len(Status)
    assert each.solved == 2
    assert each + Counts.of([Status.FAILED, "restored"]) == Counts(
        restored=2, unchanged=1, set_aside=1, failed=2, skipped=1, conflicts=1
    )
