"""The progress of a flow run in Prefect, as a sentence and as a table."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.exceptions import PrefectException

from flows.display.progress import Standing
from flows.display.summary import counted
from pipeline.shards import ShardReport
from pipeline.status import NO_IMAGES, Counts

EVERYBODY: Final = "all"
MARKUP: Final = re.compile(r"[\\|<>*`\[\]&~]|(?<![^\W_])_|_(?![^\W_])")


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of one worker, or of all workers, in this run."""

    shards: int = 0
    counts: Counts = NO_IMAGES
    nfe: int = 0
    seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, report: ShardReport) -> None:
        """Count a shard."""
        self.shards += 1
        self.counts += report.counts
        self.nfe += report.nfe
        self.seconds += report.seconds
        self.errors.update(dict(report.errors))

    def row(self, name: str, *, seconds: float) -> dict[str, Any]:
        """Return the row of the table, with the pace over `seconds` of work."""
        images, solved = self.counts.total, self.counts.solved
        return {
            "worker": name,
            "shards": self.shards,
            "images": images,
            "images/min": round(60 * images / seconds, 1) if seconds else None,
            "NFE/image": round(self.nfe / solved, 1) if solved else None,
            "not restored": ", ".join(f"{count} {error}" for error, count in self.errors.most_common()),
            "set aside": self.counts.set_aside,
        }


@dataclass(slots=True, kw_only=True)
class Board:
    """Two artifacts of one run, kept up to date: a progress artifact and a table with a row for each worker.

    The run page shows descriptions alone, so the sentence is there and the percentage is only for a graph.
    """

    progress: UUID
    table: UUID
    shards: int
    all: Tally = field(default_factory=Tally)
    workers: dict[str, Tally] = field(default_factory=dict)
    _last: Standing | None = None

    @classmethod
    def create(cls, job_id: str, *, shards: int) -> Board:
        """Return new artifacts of the current run, in which nothing is done yet."""
        board = cls(
            progress=uuid_of(create_progress_artifact(0.0, key=f"progress-{job_id}", description="starting")),
            table=uuid_of(create_table_artifact([], key=f"shards-{job_id}", description="starting")),
            shards=shards,
        )
        update(board.table, data=json.dumps(board.rows(seconds=0.0)), description=board.headline())
        return board

    def add(self, report: ShardReport) -> None:
        """Count a committed shard."""
        self.all.add(report)
        if report.worker:
            self.workers.setdefault(report.worker, Tally()).add(report)

    def show_progress(self, standing: Standing) -> None:
        """Show the progress of the run; a server without an answer costs a line in the log, not the job."""
        self._last = standing
        percent = 100 * standing.done / standing.total if standing.total else 100.0
        update(self.progress, data=percent, description=str(standing))

    def show_table(self, standing: Standing) -> None:
        """Show the work of each worker, likewise."""
        update(self.table, data=json.dumps(self.rows(seconds=standing.seconds)), description=self.headline())

    def finish(self) -> None:
        """Show the last shard's counts, too."""
        if self._last is not None:
            self.show_table(self._last)

    def headline(self) -> str:
        """Return the table's description on the run page: "12 of 200 shards, 2 workers"."""
        return f"{self.all.shards:,} of {self.shards:,} shards, {counted(len(self.workers), 'worker')}"

    def rows(self, *, seconds: float) -> list[dict[str, Any]]:
        """Return the table, after `seconds` of this run."""
        workers = [tally.row(name, seconds=tally.seconds) for name, tally in sorted(self.workers.items())]
        return [self.all.row(EVERYBODY, seconds=seconds), *workers]


def update(artifact: UUID, *, data: Any, description: str) -> None:
    """Change an artifact; a failure goes to the run's log."""
    try:
        with get_client(sync_client=True) as client:
            client.update_artifact(artifact, ArtifactUpdate(data=data, description=description))
    except (httpx.HTTPError, PrefectException) as error:
        get_run_logger().warning("progress could not be shown: %s", error)


def uuid_of(created: object) -> UUID:
    """Return the id of an artifact created without an event loop."""
    assert isinstance(created, UUID)
    return created


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of a markdown table, with all markup in its cells escaped."""
    return markup_table(header, [tuple(cell(text) for text in row) for row in rows])


def markup_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of a markdown table whose cells are markdown already."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + " --- |" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def cell(text: str) -> str:
    """Return text escaped so it stays in its cell and shows unchanged, whatever the name of a file.

    Tables of Prefect's are markdown, too. An underscore between letters or digits is none, and can so be searched for.
    """
    return MARKUP.sub(r"\\\g<0>", " ".join(text.splitlines()))
