"""A manifest row from the job's template to its end, and the counts of a shard's rows."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from deqir import Tally
from pipeline.errors import ConflictError, ImageError
from pipeline.shards import ImageRef, ShardReport
from pipeline.status import NOT_RESTORED, Counts, Status

from .schema import ManifestRow

logger = logging.getLogger("deqir.images")


def begun(template: ManifestRow, ref: ImageRef, *, shard_id: str) -> ManifestRow:
    """Return the row of an image whose work begins now: the template of its job's rows, with the image.

    Its status is "failed" until another one is known.
    """
    now = datetime.now(UTC)
    return replace(
        template,
        shard_id=shard_id,
        source_key=ref.key,
        source_etag=ref.etag,
        source_size=ref.size,
        started_at=now,
        finished_at=now,
    )


def restored(row: ManifestRow) -> ManifestRow:
    """Return the row of an image whose output is stored."""
    return _ended(row, Status.RESTORED)


def unchanged(row: ManifestRow) -> ManifestRow:
    """Return the row of an image whose file is copied as it is."""
    return _ended(row, Status.UNCHANGED)


def set_aside(row: ManifestRow) -> ManifestRow:
    """Return the row of an image whose restoration is not trusted and kept apart."""
    return _ended(row, Status.SET_ASIDE)


def failed(row: ManifestRow, error: ImageError) -> ManifestRow:
    """Return the row of a failed or conflicting image, and log a warning."""
    status = Status.CONFLICT if isinstance(error, ConflictError) else Status.FAILED
    return _ended(row, status, type(error).__name__, str(error))


def refused(row: ManifestRow, ref: ImageRef) -> ManifestRow:
    """Return the row of an image refused by the plan: skipped if the refusal has no error type, else failed."""
    status = Status.FAILED if ref.refusal_type else Status.SKIPPED
    return _ended(row, status, ref.refusal_type or None, str(ref.refusal))


def _ended(row: ManifestRow, status: Status, error_type: str | None = None, error: str | None = None) -> ManifestRow:
    if status in NOT_RESTORED:
        logger.warning(
            "image %s job=%s shard=%s key=%r error=%s: %s",
            status,
            row.job_id,
            row.shard_id,
            row.source_key,
            error_type,
            " ".join(str(error).split()),
        )
    return replace(row, status=status, error_type=error_type, error=error, finished_at=datetime.now(UTC))


def report_of(shard_id: str, rows: Sequence[ManifestRow], tally: Tally, *, worker: str, seconds: float) -> ShardReport:
    """Return the counts of a shard's rows and of its solver."""
    return ShardReport(
        shard_id=shard_id,
        counts=Counts.of(row.status for row in rows),
        rounds=sum(row.rounds or 0 for row in rows),
        nfe=sum(row.nfe or 0 for row in rows),
        errors=tuple(sorted(Counter(row.error_type for row in rows if row.error_type).items())),
        worker=worker,
        seconds=seconds,
        solve_seconds=tally.seconds,
        network_calls=tally.calls,
        occupancy=tally.occupancy,
        halvings=tally.halvings,
    )
