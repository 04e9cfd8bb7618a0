"""`deqir status`: where the jobs of an archive stand, from their manifests alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from .request import location
from .summary import as_data, plain, print_summary

if TYPE_CHECKING:
    from pipeline.summary import JobSummary


def show_status(archive: str, *, job_id: str | None, as_json: bool) -> None:
    """Print one line a job, or one job with its failures.

    Raises:
        ConfigurationError: No such archive, no job in it, or none of that id.
    """
    from pipeline.errors import ConfigurationError
    from pipeline.job import find_jobs, summarise

    destination = location(archive)
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
        console.print(overview(summaries))


def overview(summaries: list[JobSummary]) -> Table:
    """Return a table of one line a job."""
    table = Table()
    for name in ("job", "last row (UTC)"):
        table.add_column(name, no_wrap=True, overflow="ignore")  # an id is of no use without its end
    for name in ("images", "restored", "failed", "skipped", "in conflict", "PSNR"):
        table.add_column(name, justify="right")
    for summary in summaries:
        counts = (summary.images, summary.restored, summary.failed, summary.skipped, summary.conflicts)
        table.add_row(
            plain(summary.job_id),
            f"{summary.finished_at:%Y-%m-%d %H:%M}" if summary.finished_at else "",
            *(f"{count:,}" for count in counts),
            "" if summary.psnr is None else f"{summary.psnr:.2f} dB",
        )
    return table
