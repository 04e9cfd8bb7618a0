"""Rows in brief: the few columns of a summary, read without the others, which fill most of a part."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from pipeline.shards import Version

from .schema import PARTS

HISTORY: Final = "residual_history"


class Brief(NamedTuple):
    """A row in brief; each attribute is as in `ManifestRow`."""

    source_key: str
    source_etag: str
    output_key: str | None
    width: int | None
    height: int | None
    status: str
    error_type: str | None
    error: str | None
    doubts: list[str] | None
    decisions: list[str] | None
    nfe: int | None
    rounds: int | None
    fallback: bool | None
    operator_suspect: bool | None
    samples: int | None
    psnr: float | None
    psnr_given: float | None
    psnr_start: float | None
    ssim: float | None
    solve_seconds: float | None
    started_at: datetime
    finished_at: datetime

    @property
    def version(self) -> Version:
        """Key and etag of its input."""
        return self.source_key, self.source_etag


def decode_briefs(data: bytes) -> tuple[list[Brief], list[list[float]]]:
    """Return the rows of a part in brief, and their residual histories.

    Raises:
        ConfigurationError: It is damaged, no part, or has an unknown version of the schema.
    """
    found = PARTS.decode_columns(data, (*Brief._fields, HISTORY))
    return [Brief(*values) for *values, _ in found], [history for *_, history in found if history]
