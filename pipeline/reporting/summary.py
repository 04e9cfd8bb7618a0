"""A job in numbers, from its manifest alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pipeline.manifest.brief import Brief
from pipeline.status import NO_IMAGES, NOT_RESTORED, Counts, Status

from .file_endings import endings_of, most_frequent


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An input that should have been restored and was not.

    Attributes:
        key: Its source key.
        status: failed or conflict.
        error_type, error: Class name and message.
    """

    key: str
    status: Status
    error_type: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """The end of all inputs with a row, each in its newest version with a row.

    Attributes:
        job_id, destination: Which job, and the URL of its destination.
        counts: Inputs by the status of their newest version.
        to_do: Inputs without a row of their newest planned version; an input with a row of an older version
            counts here and there.
        not_images: Skipped inputs without an image's name.
        endings: Counts of the most frequent endings of these names, in this order, and of all others.
        replaced: Rows of older versions, and of failed versions found gone by a retry; no other number counts them.
        restored_since: How many of the failed and conflicting inputs were restored since, by a later retry of the job
            or, where this is a retry, in a newer version.
        failures: Every other failed or conflicting input, by key.
        fallbacks: Restored images whose parallel solve ran out of rounds.
        suspects: Restored images that do not look as if they had had the job's degradation.
        rounds, nfe: Sums over the restored images of serial network passes and of network evaluations.
        seconds: Sum over the restored images of the solver's time.
        psnr, psnr_start, ssim: Means over the measured restored images, of them and of the start made from
            them without the network; None if none was.
        psnr_given: Likewise of the source images; None unless all have the size of their restoration.
        measured: Number of measured images.
        sampled: Restored images with further samples.
        started_at, finished_at: UTC; first start and last end of any of these rows, None without rows.
    """

    job_id: str
    destination: str
    counts: Counts
    to_do: int
    not_images: int
    endings: Mapping[str, int]
    replaced: int
    restored_since: int
    failures: tuple[Failure, ...]
    fallbacks: int
    suspects: int
    rounds: int
    nfe: int
    seconds: float
    psnr: float | None
    psnr_given: float | None
    psnr_start: float | None
    ssim: float | None
    measured: int
    sampled: int
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def images(self) -> int:
        """Inputs in all."""
        return self.counts.total

    @property
    def mean_rounds(self) -> float | None:
        """Serial network passes of a restored image."""
        return self.rounds / self.counts.restored if self.counts.restored else None

    @property
    def mean_nfe(self) -> float | None:
        """Network evaluations of a restored image."""
        return self.nfe / self.counts.restored if self.counts.restored else None

    @property
    def mean_seconds(self) -> float | None:
        """Solver's time of a restored image."""
        return self.seconds / self.counts.restored if self.counts.restored else None


@dataclass(frozen=True, slots=True)
class Known:
    """The values of a column where it has one: how many, and their sum."""

    count: int
    total: float


NOTHING: Final = Known(0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Some of a job's rows in numbers that add up: as in `JobSummary`, with sums in place of means.

    Attributes:
        endings: Count of each ending among the names of skipped inputs without an image's name.
        failures: Every failed or conflicting input.
        psnr, psnr_given, psnr_start, ssim: Of the measured restored images.
    """

    counts: Counts
    endings: Counter[str]
    failures: tuple[Brief, ...]
    fallbacks: int
    suspects: int
    rounds: int
    nfe: int
    seconds: float
    psnr: Known
    psnr_given: Known
    psnr_start: Known
    ssim: Known
    sampled: int
    started_at: datetime | None
    finished_at: datetime | None


def sums_of(rows: Sequence[Brief]) -> Sums:
    """Return rows in numbers."""
    restored = [row for row in rows if row.status == Status.RESTORED]
    measured = [row for row in restored if row.psnr is not None]
    return Sums(
        counts=Counts.of(row.status for row in rows),
        endings=endings_of(row.source_key for row in rows if row.status == Status.SKIPPED),
        failures=tuple(row for row in rows if row.status in NOT_RESTORED),
        fallbacks=sum(row.fallback is True for row in restored),
        suspects=sum(row.operator_suspect is True for row in restored),
        rounds=sum(row.rounds or 0 for row in restored),
        nfe=sum(row.nfe or 0 for row in restored),
        seconds=sum(row.solve_seconds or 0.0 for row in restored),
        psnr=_known(row.psnr for row in measured),
        psnr_given=_known(row.psnr_given for row in measured),
        psnr_start=_known(row.psnr_start for row in measured),
        ssim=_known(row.ssim for row in measured),
        sampled=sum(row.samples is not None for row in restored),
        started_at=min((row.started_at for row in rows), default=None),
        finished_at=max((row.finished_at for row in rows), default=None),
    )


def summary_of(
    job_id: str,
    destination: str,
    parts: Sequence[Sums],
    *,
    to_do: int = 0,
    replaced: int = 0,
    restored_since: Collection[tuple[str, str]] = frozenset(),
) -> JobSummary:
    """Return a job in numbers.

    Args:
        job_id: Of the job.
        destination: Its URL.
        parts: Its rows, one for each input, in any number of parts.
        to_do: How many inputs have no row yet.
        replaced: How many rows of older versions, or of such as are gone, were left out.
        restored_since: Key and etag of failures restored since.
    """
    bad = [row for part in parts for row in part.failures]
    left = [row for row in bad if (row.source_key, row.source_etag) not in restored_since]
    measured = sum(part.psnr.count for part in parts)
    comparable = sum(part.psnr_given.count for part in parts)
    endings = Counter[str]()
    for part in parts:
        endings.update(part.endings)
    return JobSummary(
        job_id=job_id,
        destination=destination,
        counts=sum((part.counts for part in parts), NO_IMAGES),
        to_do=to_do,
        not_images=endings.total(),
        endings=most_frequent(endings),
        replaced=replaced,
        restored_since=len(bad) - len(left),
        failures=tuple(_failure(row) for row in sorted(left, key=lambda row: row.source_key)),
        fallbacks=sum(part.fallbacks for part in parts),
        suspects=sum(part.suspects for part in parts),
        rounds=sum(part.rounds for part in parts),
        nfe=sum(part.nfe for part in parts),
        seconds=sum(part.seconds for part in parts),
        psnr=_mean([part.psnr for part in parts]),
        psnr_given=_mean([part.psnr_given for part in parts]) if comparable == measured else None,
        psnr_start=_mean([part.psnr_start for part in parts]),
        ssim=_mean([part.ssim for part in parts]),
        measured=measured,
        sampled=sum(part.sampled for part in parts),
        started_at=min((part.started_at for part in parts if part.started_at is not None), default=None),
        finished_at=max((part.finished_at for part in parts if part.finished_at is not None), default=None),
    )


def _failure(row: Brief) -> Failure:
    return Failure(
        key=row.source_key,
        status=Status(row.status),
        error_type=row.error_type or "",
        error=row.error or "",
    )


def _known(values: Iterable[float | None]) -> Known:
    known = [value for value in values if value is not None]
    return Known(len(known), math.fsum(known)) if known else NOTHING


def _mean(parts: Sequence[Known]) -> float | None:
    count = sum(part.count for part in parts)
    return math.fsum(part.total for part in parts) / count if count else None
