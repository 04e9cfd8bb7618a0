"""A manifest row from its first entry to its last, as an image moves along."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from deqir import Tally
from deqir.estimation import Misfit
from deqir.restore import ConvergenceStats
from pipeline.errors import ImageError
from pipeline.shards import ImageRef, ShardReport

from .schema import ManifestRow, Status

logger = logging.getLogger("deqir.images")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What every row of one job repeats; see `ManifestRow` for each."""

    job_id: str
    task: str
    operator_parameters: Mapping[str, str]
    prior: str
    prior_digest: str
    steps: int
    eta: float
    start_noise: float
    seed: int
    mode: str
    device: str
    dtype: str
    software: Mapping[str, str]
    guide: str | None = None
    guide_by: str | None = None
    guide_sha256: str | None = None

    def begin(self, ref: ImageRef, *, shard_id: str) -> ManifestRow:
        """Return the row of an image that was just taken up; failed until it says otherwise."""
        now = datetime.now(UTC)
        return ManifestRow(
            job_id=self.job_id,
            shard_id=shard_id,
            source_key=ref.key,
            source_etag=ref.etag,
            source_size=ref.size,
            status=Status.FAILED,
            guide_sha256=self.guide_sha256,
            guide=self.guide,
            guide_by=self.guide_by,
            task=self.task,
            operator_parameters=dict(self.operator_parameters),
            prior=self.prior,
            prior_digest=self.prior_digest,
            steps=self.steps,
            eta=self.eta,
            start_noise=self.start_noise,
            seed=self.seed,
            mode=self.mode,
            device=self.device,
            dtype=self.dtype,
            software=dict(self.software),
            started_at=now,
            finished_at=now,
        )


def with_stats(row: ManifestRow, stats: ConvergenceStats, *, seconds: float) -> ManifestRow:
    """Return the row with how the solve went; `seconds` is the image's share of its rounds' time."""
    return replace(
        row,
        window=stats.window,
        nfe=stats.nfe,
        rounds=stats.rounds,
        converged=stats.converged,
        fallback=stats.fallback,
        residual_final=stats.residual_final,
        residual_history=list(stats.residual_history),
        frontier_history=list(stats.frontier_history),
        useful=stats.useful,
        data_consistency=stats.data_consistency,
        tile=stats.tile,
        solve_seconds=seconds,
    )


def with_misfit(row: ManifestRow, misfit: Misfit | None) -> ManifestRow:
    """Return the row with how well the image fits what is to be undone; None: it is too small to tell."""
    if misfit is None:
        return row
    return replace(row, misfit=misfit.score, operator_suspect=misfit.suspect)


def restored(row: ManifestRow) -> ManifestRow:
    """Return the row of an image that is written."""
    return replace(row, status=Status.RESTORED, finished_at=datetime.now(UTC))


def failed(row: ManifestRow, error: ImageError) -> ManifestRow:
    """Return the row of an image that is at fault, and tell the log."""
    return _ended(row, Status.FAILED, type(error).__name__, str(error))


def conflicting(row: ManifestRow, error: Exception) -> ManifestRow:
    """Return the row of an image whose output key holds something else, and tell the log."""
    return _ended(row, Status.CONFLICT, type(error).__name__, str(error))


def refused(row: ManifestRow, error_type: str, reason: str) -> ManifestRow:
    """Return the row of an image that the plan refused: skipped without an error's name, else failed."""
    if not error_type:
        return replace(row, status=Status.SKIPPED, error=reason, finished_at=datetime.now(UTC))
    return _ended(row, Status.FAILED, error_type, reason)


def _ended(row: ManifestRow, status: Status, error_type: str, error: str) -> ManifestRow:
    logger.warning(
        "image %s job=%s shard=%s key=%r error=%s: %s",
        status,
        row.job_id,
        row.shard_id,
        row.source_key,
        error_type,
        " ".join(error.split()),
    )
    return replace(row, status=status, error_type=error_type, error=error, finished_at=datetime.now(UTC))


def report_of(shard_id: str, rows: Iterable[ManifestRow], tally: Tally, *, worker: str, seconds: float) -> ShardReport:
    """Return the counts of a shard's rows and of its solver."""
    rows = list(rows)
    errors = Counter(row.error_type for row in rows if row.error_type)
    count = {status: sum(row.status == status for row in rows) for status in Status}
    return ShardReport(
        shard_id=shard_id,
        restored=count[Status.RESTORED],
        failed=count[Status.FAILED],
        skipped=count[Status.SKIPPED],
        conflicts=count[Status.CONFLICT],
        rounds=sum(row.rounds or 0 for row in rows),
        nfe=sum(row.nfe or 0 for row in rows),
        errors=tuple(sorted(errors.items())),
        worker=worker,
        seconds=seconds,
        solve_seconds=tally.seconds,
        network_calls=tally.calls,
        occupancy=tally.occupancy,
        halvings=tally.halvings,
    )
