"""Rows in brief: the few columns that a summary needs, read without the others, which are most of a part."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from .schema import PARTS

HISTORY: Final = "residual_history"


@dataclass(frozen=True, slots=True)
class Brief:
    """A row in brief; each attribute is as in `ManifestRow`."""

    source_key: str
    source_etag: str
    output_key: str | None
    width: int | None
    height: int | None
    status: str
    error_type: str | None
    error: str | None
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


COLUMNS: Final = tuple(field.name for field in fields(Brief))


def decode_briefs(data: bytes) -> tuple[list[Brief], list[list[float]]]:
    """Return the rows of a part in brief, and the residual histories that they have.

    Raises:
        ConfigurationError: It is damaged, no part, or of a version of the schema that is not read.
    """
    found = PARTS.decode_columns(data, (*COLUMNS, HISTORY))
    return [Brief(*values) for *values, _ in found], [history for *_, history in found if history]
