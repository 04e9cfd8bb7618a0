"""A job's summary in words and rows, for the console, for Prefect's pages and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pipeline.summary import JobSummary

FAILURES_SHOWN: Final = 20


def facts(summary: JobSummary) -> list[tuple[str, str]]:
    """Return what there is to say of a job, as pairs of a name and a value."""
    rows = [
        ("images", f"{summary.images:,}"),
        ("restored", f"{summary.restored:,}"),
        ("failed", f"{summary.failed:,}"),
        ("skipped", f"{summary.skipped:,}"),
        ("in conflict", f"{summary.conflicts:,}"),
    ]
    if summary.restored_since:
        rows.append(("restored since", f"{summary.restored_since:,}"))
    if summary.replaced:
        rows.append(
            ("older versions", f"{summary.replaced:,} (replaced in the source or gone from it, and not counted)")
        )
    if summary.fallbacks:
        rows.append(("finished step by step", f"{summary.fallbacks:,}"))
    if summary.suspects:
        rows.append(("doubtful operator", f"{summary.suspects:,} (operator_suspect in the manifest)"))
    rows += [
        (name, f"{value:,.1f}")
        for name, value in (
            ("rounds an image", summary.mean_rounds),
            ("NFE an image", summary.mean_nfe),
            ("seconds an image", summary.mean_seconds),
        )
        if value is not None
    ]
    if summary.psnr is not None:
        rows.append((f"PSNR of {summary.measured:,}", f"{summary.psnr:.2f} dB"))
    if summary.psnr_given is not None:
        rows.append(("PSNR as given", f"{summary.psnr_given:.2f} dB"))
    elif summary.psnr_start is not None:
        rows.append(("PSNR without the network", f"{summary.psnr_start:.2f} dB"))
    if summary.ssim is not None:
        rows.append(("SSIM", f"{summary.ssim:.3f}"))
    return rows


def places(summary: JobSummary) -> list[tuple[str, str]]:
    """Return where there is more, as pairs of a name and a place."""
    from pipeline.keys import Layout

    root, layout = summary.destination.rstrip("/"), Layout(summary.job_id)
    found = [("manifest", f"{root}/{layout.manifest_prefix()}")]
    if summary.sampled:
        found.append(("samples, mean and spread, a folder for each image", f"{root}/{layout.samples}"))
    return found


def failures(summary: JobSummary) -> list[tuple[str, str, str]]:
    """Return key, error class and message of the first images that were not restored."""
    return [
        (failure.key, failure.error_type or failure.status, failure.error)
        for failure in summary.failures[:FAILURES_SHOWN]
    ]


def print_summary(console: Console, summary: JobSummary) -> None:
    """Print the counts and means, then the first failures."""
    table = Table(title=f"job {summary.job_id}", show_header=False, title_justify="left")
    for name, value in facts(summary):
        table.add_row(name, plain(value))
    console.print(table)
    for place in places(summary):
        console.print(plain(": ".join(place)), soft_wrap=True)
    print_failures(console, summary)


def print_failures(console: Console, summary: JobSummary) -> None:
    """Print one line for each of the first images that were not restored, and how many more there are."""
    rows = failures(summary)
    for key, kind, message in rows:
        console.print(plain(f"{key}: {kind}: {message}"), soft_wrap=True)
    if more := len(summary.failures) - len(rows):
        console.print(f"... and {more:,} more; the manifest has them all")


def as_data(summary: JobSummary) -> dict[str, Any]:
    """Return the summary as JSON can hold it: times in ISO format, the failures in full."""
    data = asdict(summary)
    for name in ("started_at", "finished_at"):
        data[name] = data[name] and data[name].isoformat()
    (_, manifest), *samples = places(summary)
    return {**data, "manifest": manifest, "samples": samples[0][1] if samples else None}


def counted(number: int, thing: str) -> str:
    """Return a number of things: "1 image", "1,200 images"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def plain(text: str) -> Text:
    """Return text that shows as it is, whatever a file was named: no markup, no control sequence."""
    return Text("".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text))
