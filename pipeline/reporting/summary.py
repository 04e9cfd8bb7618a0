"""A job in numbers, from its manifest alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.shards import Version
from pipeline.status import NO_IMAGES, Counts, Status

from .file_endings import most_frequent
from .sums import Known, Sums


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class SetAside:
    """An input whose restoration is kept apart, as it is not trusted.

    Attributes:
        key: Its source key.
        doubts: The reasons.
    """

    key: str
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """The end of all inputs with a row, each in its newest version with a row.

    Attributes:
        job_id, destination: Which job, and the URL of its destination.
        counts: Inputs by the status of their newest version.
        to_do: Inputs without a row of their newest planned version; an input with a row of an older version
            counts here and there.
        unsupported: Skipped inputs whose names are those of images of other kinds, such as TIFF.
        not_images: Skipped inputs without an image's name.
        endings: Counts of the most frequent endings of these names, in this order, and of all others.
        replaced: Rows of older versions, and of failed versions found gone by a retry; no other number counts them.
        restored_since: How many of the failed and conflicting inputs were restored since, by a later retry of the job
            or, where this is a retry, in a newer version.
        accepted: How many of the images set aside were accepted since.
        aside: Every other image set aside, by key.
        decisions: Numbers of delivered images by the beginnings of their decisions ("jpeg", "denoise"), of the most
            frequent ones; without images left unchanged.
        unchanged_for: Numbers of unchanged images by reason, likewise.
        failures: Every other failed or conflicting input, by key.
        fallbacks: Restored images whose parallel solve ran out of rounds.
        suspects: Restored images that do not look as if they had had the job's degradation.
        rounds, nfe: Sums over the restored and set-aside images of serial network passes and of network evaluations.
        seconds: Sum over these images of the solver's time.
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
    unsupported: int
    not_images: int
    endings: Mapping[str, int]
    replaced: int
    restored_since: int
    accepted: int
    aside: tuple[SetAside, ...]
    decisions: Mapping[str, int]
    unchanged_for: Mapping[str, int]
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
    def is_complete(self) -> bool:
        """True if nothing failed, waits for acceptance, or is an image of another kind."""
        return not (self.failures or self.aside or self.unsupported)

    @property
    def images(self) -> int:
        """Inputs in all."""
        return self.counts.total

    @property
    def mean_rounds(self) -> float | None:
        """Serial network passes of a restored image."""
        return self.rounds / self.counts.solved if self.counts.solved else None

    @property
    def mean_nfe(self) -> float | None:
        """Network evaluations of a restored image."""
        return self.nfe / self.counts.solved if self.counts.solved else None

    @property
    def mean_seconds(self) -> float | None:
        """Solver's time of a restored image."""
        return self.seconds / self.counts.solved if self.counts.solved else None


def summary_of(
    job_id: str,
    destination: str,
    parts: Sequence[Sums],
    *,
    to_do: int = 0,
    replaced: int = 0,
    restored_since: Collection[Version] = frozenset(),
    accepted: Collection[Version] = frozenset(),
) -> JobSummary:
    """Return a job in numbers.

    Args:
        job_id, destination, to_do, replaced: As in `JobSummary`.
        parts: Its rows, one for each input, in any number of parts.
        restored_since, accepted: Key and etag of failures restored since, and of accepted images.
    """
    bad = [row for part in parts for row in part.failures]
    left = [row for row in bad if row.version not in restored_since]
    aside = [row for part in parts for row in part.aside]
    waiting = [row for row in aside if row.version not in accepted]
    measured = sum(part.psnr.count for part in parts)
    comparable = sum(part.psnr_given.count for part in parts)
    endings, decisions, unchanged_for = (
        sum((getattr(part, name) for part in parts), Counter[str]())
        for name in ("endings", "decisions", "unchanged_for")
    )
    return JobSummary(
        job_id=job_id,
        destination=destination,
        counts=sum((part.counts for part in parts), NO_IMAGES),
        to_do=to_do,
        unsupported=sum(part.unsupported for part in parts),
        not_images=endings.total(),
        endings=most_frequent(endings),
        replaced=replaced,
        restored_since=len(bad) - len(left),
        accepted=len(aside) - len(waiting),
        aside=tuple(
            SetAside(row.source_key, tuple(row.doubts or ())) for row in sorted(waiting, key=lambda row: row.source_key)
        ),
        decisions=most_frequent(decisions),
        unchanged_for=most_frequent(unchanged_for),
        failures=tuple(
            Failure(row.source_key, Status(row.status), row.error_type or "", row.error or "")
            for row in sorted(left, key=lambda row: row.source_key)
        ),
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


def _mean(parts: Sequence[Known]) -> float | None:
    count = sum(part.count for part in parts)
    return math.fsum(part.total for part in parts) / count if count else None
