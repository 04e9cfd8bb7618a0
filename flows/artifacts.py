"""What a flow run shows in Prefect: its progress, and the summary at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from pipeline.job import JobSummary

from .progress import Standing
from .summary import facts, failures

ARTIFACT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class ProgressArtifact:
    """One progress artifact of one run; calling it says where the run stands.

    The run page shows the description alone, so the sentence is there and the percentage is only for a graph.
    """

    id: UUID

    @classmethod
    def create(cls, job_id: str) -> ProgressArtifact:
        """Return a new artifact of the current run, at 0 %."""
        return cls(
            create_progress_artifact(progress=0.0, key=f"progress-{job_id}", description="starting")
        )

    def __call__(self, standing: Standing) -> None:
        """Update the artifact; a server that does not answer costs a line in the log, not the job."""
        percent = 100 * standing.done / standing.total if standing.total else 100.0
        try:
            update_progress_artifact(self.id, progress=percent, description=str(standing))
        except (httpx.HTTPError, PrefectException) as error:
            get_run_logger().warning("progress could not be shown: %s", error)


def write_summary(summary: JobSummary) -> None:
    """Publish a job's summary as a markdown artifact of the current run."""
    create_markdown_artifact(
        markdown(summary), key=f"summary-{summary.job_id}", description=f"Restored images of {summary.job_id}"
    )


def markdown(summary: JobSummary) -> str:
    """Return the summary as markdown: the counts and means, the first failures, the manifest's place."""
    lines = [f"# Job {summary.job_id}", "", *table(("", ""), facts(summary))]
    if rows := failures(summary):
        lines += ["", "## Images that were not restored", "", *table(("image", "error", "message"), rows)]
    return "\n".join(lines)


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return the lines of a markdown table; what would end a cell or start markup is escaped."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + " --- |" * len(header),
        *("| " + " | ".join(cell(text) for text in row) + " |" for row in rows),
    ]


def cell(text: str) -> str:
    """Return text that stays in its cell and shows as it is, whatever a file was named."""
    escaped = text.replace("\\", "\\\\").replace("\n", " ").replace("\r", " ")
    for mark in "|<>*_`[]":
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped
