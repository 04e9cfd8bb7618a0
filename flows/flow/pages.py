"""The pages of a finished run in Prefect: its summary, and the images that were not restored."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.display.summary import (
    FAILURES_SHOWN,
    accept_command,
    aside_in_words,
    aside_place,
    counted,
    decided_in_words,
    facts,
    failures,
    places,
)
from pipeline.reporting.before_after import Exhibit
from pipeline.reporting.summary import JobSummary
from pipeline.reporting.survey import MOST_SAMPLED

from .artifacts import cell, markup_table, table
from .plots import convergence, data_uri

MOST_BYTES: Final = 2**20
MOST_FAILURES: Final = 1000
AS_GIVEN: Final = "as given"
WITHOUT_NETWORK: Final = "as made without the network, for example by a smooth enlargement"


def write_pages(
    summary: JobSummary, pictures: Sequence[Exhibit], residuals: Sequence[tuple[float, float]], *, tolerance: float
) -> None:
    """Publish a job's summary as a markdown artifact, and its failures as a searchable table."""
    page = markdown(summary, pictures, residuals, tolerance=tolerance)
    create_markdown_artifact(page, key=f"summary-{summary.job_id}", description=headline(summary))
    # without a row, too: in place of the table of an earlier run
    if summary.failures or summary.restored_since or summary.replaced:
        rows = [
            {
                "image": cell(failure.key),
                "error": failure.error_type or failure.status,
                "message": cell(failure.error),
            }
            for failure in summary.failures[:MOST_FAILURES]
        ]
        told = f"not restored: {counted(len(summary.failures), 'image')}"
        if summary.failures:
            told += f"; to try again: {retry_command(summary)}"
        create_table_artifact(rows, key=f"failures-{summary.job_id}", description=told)


def headline(summary: JobSummary) -> str:
    """Return the summary in a line."""
    line = (
        f"{summary.counts.restored:,} restored, {summary.counts.failed:,} failed, {summary.counts.skipped:,} skipped, "
        f"{summary.counts.conflicts:,} in conflict"
    )
    if summary.counts.unchanged:
        line += f", {summary.counts.unchanged:,} unchanged"
    if summary.counts.set_aside:
        line += f", set aside: {aside_in_words(summary)}"
    return f"{line}; {summary.restored_since:,} restored since" if summary.restored_since else line


def markdown(
    summary: JobSummary, pictures: Sequence[Exhibit], residuals: Sequence[tuple[float, float]], *, tolerance: float
) -> str:
    """Return the summary page: counts and means, pictures, convergence, failures, and where to read on.

    Pictures are left out, the last first, where the page would be larger than a MiB.
    """
    kept = len(pictures)
    while len(page := _page(summary, pictures[:kept], residuals, tolerance)) > MOST_BYTES and kept:
        kept -= 1
    return page


def _page(
    summary: JobSummary, pictures: Sequence[Exhibit], residuals: Sequence[tuple[float, float]], tolerance: float
) -> str:
    first, *others = [*facts(summary), *places(summary)]
    sections = (
        [f"# Job {summary.job_id}", "", *table(first, others), *decided(summary), *meanings(summary)],
        before_and_after(pictures),
        how_it_converged(residuals, tolerance),
        not_restored(summary),
        set_aside(summary),
        further(summary),
    )
    return "\n".join("\n".join([*lines, ""]) for lines in sections if lines)


def decided(summary: JobSummary) -> list[str]:
    """Return the main decisions in numbers."""
    told = decided_in_words(summary)
    return ["", f"{cell(told)}."] if told else []


def meanings(summary: JobSummary) -> list[str]:
    """Return an explanation of the technical words in the table."""
    text = "NFE is the number of evaluations of the network."
    if summary.psnr is not None:
        text += (
            f" PSNR and SSIM compare the {counted(summary.measured, 'image')} whose original is known with it: as "
            f"restored, and {AS_GIVEN if summary.psnr_given is not None else WITHOUT_NETWORK}."
        )
    return ["", text]


def before_and_after(pictures: Sequence[Exhibit]) -> list[str]:
    """Return a few images at full resolution, beside their sources."""
    if not pictures:
        return []
    rows = list[tuple[str, ...]]()
    for each in pictures:  # two lines each, as a column of names would push the pictures out of the page
        rows.append((cell(each.key), ""))
        sides = (("before", each.before), ("after", each.after))
        rows.append(tuple(f"![{name}]({data_uri('image/jpeg', data)})" for name, data in sides))
    text = "The most changed part of each image; the smaller picture is enlarged smoothly."
    return ["## Before and after", "", text, "", *markup_table(("before", "after"), rows)]


def how_it_converged(residuals: Sequence[tuple[float, float]], tolerance: float) -> list[str]:
    """Return the residual over rounds as a picture; nothing where images were restored step by step."""
    if len(residuals) < 2:
        return []
    picture = data_uri("image/svg+xml", convergence(residuals, tolerance=tolerance).encode())
    median, worst = residuals[-1]
    text = (
        "Largest relative residual of an image's states after each round: median over the images, of many over at "
        f"most {MOST_SAMPLED:,} (line), and worst image (dashed), with the tolerance of {tolerance:g} (dotted). After "
        f"{len(residuals)} rounds: {median:.2g} and {worst:.2g}."
    )
    return ["## Convergence", "", text, "", f"![residual over rounds]({picture})"]


def not_restored(summary: JobSummary) -> list[str]:
    """Return the first failures, with the command to try them again."""
    rows = failures(summary)
    if not rows:
        return []
    more = len(summary.failures) - len(rows)
    return [
        "## Images that were not restored",
        "",
        *(f"- {cell(key)}: **{error}**, {cell(message)}" for key, error, message in rows),
        *(["", f"... and {more:,} more: see the table failures-{summary.job_id}, or the manifest."] if more else []),
        "",
        "An image that is replaced is restored by the next run. To try the others again, once what was wrong is set "
        "right, run the deployment with *Retry* ticked, or:",
        "",
        f"    {retry_command(summary)}",
    ]


def set_aside(summary: JobSummary) -> list[str]:
    """Return the first images set aside, with the command to deliver them."""
    if not summary.aside:
        return []
    shown = summary.aside[:FAILURES_SHOWN]
    more = len(summary.aside) - len(shown)
    return [
        "## Images that were set aside",
        "",
        *(f"- {cell(each.key)}: {cell('; '.join(each.doubts))}" for each in shown),
        *(["", f"... and {more:,} more: see the manifest."] if more else []),
        "",
        f"Their restorations are not trusted. They are kept below {cell(aside_place(summary))}. To deliver some, with "
        "their keys in place of KEY, or all with `--all`:",
        "",
        f"    {accept_command(summary)} KEY",
    ]


def further(summary: JobSummary) -> list[str]:
    """Return where there is more to read."""
    status = shlex.join(["deqir", "status", summary.destination, "--job", summary.job_id])
    return [
        "## More",
        "",
        "The manifest (Parquet, one row for each image) is at the place above. In a terminal:",
        "",
        f"    {status}",
    ]


def retry_command(summary: JobSummary) -> str:
    """Return the command to try the failures again."""
    return shlex.join(["deqir", "retry", summary.destination, "--job", summary.job_id])
