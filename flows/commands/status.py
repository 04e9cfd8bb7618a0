"""`deqir status`: the progress of the jobs of an archive, from their plans and manifests alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from flows.credentials import take_credentials_for
from flows.display.summary import as_data, notes, plain, print_summary
from flows.display.text_table import columns
from flows.options.options import Json, RestoredArchive
from flows.options.request import location
from pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from pipeline.reporting.summary import JobSummary

HEADINGS: Final = (
    *("job", "last row (UTC)", "images", "to do", "restored", "unchanged", "aside", "failed", "skipped", "conflict"),
    "PSNR",
)
NAMES: Final = (0, 1)
"""Columns without numbers."""
WHERE_ANY: Final = ("to do", "unchanged", "aside", "conflict")
"""Columns shown only if some job has a number there."""


def status(
    archive: RestoredArchive,
    job_id: Annotated[
        str | None, typer.Option("--job", metavar="ID", help="Show this job alone, with its failures.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the progress of the jobs of an archive, from their plans and manifests alone."""
    from pipeline.job.job import find_jobs, summarise

    destination = location(archive)
    take_credentials_for(destination)
    jobs = find_jobs(destination)
    if not jobs:
        raise ConfigurationError(f"{destination} holds no job; was it the destination of deqir restore?")
    if job_id is not None and job_id not in jobs:
        raise ConfigurationError(f"{destination} holds no job {job_id}; there are: {', '.join(jobs)}")
    summaries = [summarise(destination, each) for each in jobs if job_id in (None, each)]
    console = Console()
    if as_json:
        console.out(json.dumps([as_data(summary) for summary in summaries], indent=2), highlight=False)
    elif job_id is not None:
        print_summary(console, summaries[0])
    else:
        for line in overview(summaries):
            console.print(line, soft_wrap=True)  # a narrow terminal folds it; nothing is cut
        for summary in summaries:
            for note in notes(summary):
                console.print(plain(f"{summary.job_id}: {note}"), soft_wrap=True)


def overview(summaries: list[JobSummary]) -> list[Text]:
    """Return a heading and a line for each job, in columns; PSNR in dB.

    They are 80 characters wide for up to 999,999 images, and more where images are unchanged or set aside, or where
    there are both conflicts and images to do.
    """
    rows = [HEADINGS, *map(cells, summaries)]
    shown = [n for n, name in enumerate(HEADINGS) if name not in WHERE_ANY or any(row[n] != "0" for row in rows[1:])]
    return columns([tuple(row[n] for n in shown) for row in rows], left=NAMES)


def cells(summary: JobSummary) -> tuple[str, ...]:
    """Return the columns of a job."""
    found = summary.counts
    delivered = (found.restored, found.unchanged, found.set_aside)
    counts = (summary.images, summary.to_do, *delivered, found.failed, found.skipped, found.conflicts)
    return (
        summary.job_id,
        f"{summary.finished_at:%Y-%m-%d %H:%M}" if summary.finished_at else "",
        *(f"{count:,}" for count in counts),
        "" if summary.psnr is None else f"{summary.psnr:.2f}",
    )
