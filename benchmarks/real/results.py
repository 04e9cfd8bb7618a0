"""The figures of `benchmarks.real`, kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.environment import environment

from .judging import Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The result of one way on one case.

    Attributes:
        case, group, chain: Name, group and steps of the case.
        photograph: True for a photograph.
        scale: Enlargement asked for; 1: none.
        way: One of `ways.WAYS`.
        told: The command of the way "told".
        status: Of the row of the manifest.
        score: Closeness to the original.
        aside: Closeness of the image that was set aside; None otherwise.
        nfe, seconds: Evaluations of the prior, and seconds of the restoration.
        note: Error, doubts and decisions of the row.
    """

    case: str
    group: str
    chain: str
    photograph: bool
    scale: int
    way: str
    told: str
    status: str
    score: Score
    aside: Score | None
    nfe: int
    seconds: float
    note: str


def write(path: Path, records: Sequence[Record], notes: Mapping[str, str], *, prior: str) -> None:
    """Write records with the environment.

    Args:
        path: Of the file.
        records: The figures.
        notes: Why a way is missing, by the way or command.
        prior: Its name.
    """
    rows = [_rounded(asdict(record)) for record in records]
    text = json.dumps({"environment": environment(), "prior": prior, "missing": dict(notes), "records": rows}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    for field in ("score", "aside"):
        row[field] = row[field] and {name: round(value, 4) for name, value in row[field].items()}
    return row | {"seconds": round(row["seconds"], 2)}
