"""Manifest rows in numbers that add up, from part to part."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.keys import has_other_image_name
from pipeline.manifest.brief import Brief
from pipeline.status import NOT_RESTORED, Counts, Status

from .file_endings import endings_of


@dataclass(frozen=True, slots=True)
class Known:
    """The values of a column where it has one: how many, and their sum."""

    count: int
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Some of a job's rows in numbers that add up: as in `JobSummary`, with sums in place of means.

    Attributes:
        endings: Count of each ending among the names of skipped inputs without an image's name.
        failures: Every failed or conflicting input.
        aside: Every image set aside.
        psnr, psnr_given, psnr_start, ssim: Of the measured restored images.
    """

    counts: Counts
    endings: Counter[str]
    unsupported: int
    decisions: Counter[str]
    unchanged_for: Counter[str]
    failures: tuple[Brief, ...]
    aside: tuple[Brief, ...]
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
    aside = tuple(row for row in rows if row.status == Status.SET_ASIDE)
    solved = (*restored, *aside)
    skipped = [row.source_key for row in rows if row.status == Status.SKIPPED]
    measured = [row for row in restored if row.psnr is not None]
    return Sums(
        counts=Counts.of(row.status for row in rows),
        endings=endings_of(skipped),
        unsupported=sum(map(has_other_image_name, skipped)),
        decisions=_beginnings(row.decisions for row in restored),
        unchanged_for=_beginnings(row.decisions for row in rows if row.status == Status.UNCHANGED),
        failures=tuple(row for row in rows if row.status in NOT_RESTORED),
        aside=aside,
        fallbacks=sum(row.fallback is True for row in restored),
        suspects=sum(row.operator_suspect is True for row in restored),
        rounds=sum(row.rounds or 0 for row in solved),
        nfe=sum(row.nfe or 0 for row in solved),
        seconds=sum(row.solve_seconds or 0.0 for row in solved),
        psnr=_known(row.psnr for row in measured),
        psnr_given=_known(row.psnr_given for row in measured),
        psnr_start=_known(row.psnr_start for row in measured),
        ssim=_known(row.ssim for row in measured),
        sampled=sum(row.samples is not None for row in restored),
        started_at=min((row.started_at for row in rows), default=None),
        finished_at=max((row.finished_at for row in rows), default=None),
    )


def _beginnings(told: Iterable[list[str] | None]) -> Counter[str]:
    """Return the number of rows with each beginning, the words before a colon, of their decisions."""
    return Counter(beginning for texts in told for beginning in {beginning_of(text) for text in texts or ()})


def beginning_of(text: str) -> str:
    """Return the words of a decision or a doubt before its colon, which programs and counts rely on."""
    return text.partition(":")[0]


def _known(values: Iterable[float | None]) -> Known:
    known = [value for value in values if value is not None]
    return Known(len(known), math.fsum(known))
