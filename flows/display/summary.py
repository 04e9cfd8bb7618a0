"""A job's summary in words and rows, for the console, for Prefect's pages and for programs."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.options.fields import in_options

if TYPE_CHECKING:
    from pipeline.reporting.summary import JobSummary

FAILURES_SHOWN: Final = 20
MOST: Final = 5
"""Reasons told in a sentence."""
DECIDED: Final = {
    "jpeg": "undone as JPEG",
    "denoise": "denoised",
    "deblur": "deblurred",
    "enlarge": "enlarged",
    "colorize": "coloured",
}
"""Words for the beginnings of decisions."""


def facts(summary: JobSummary) -> list[tuple[str, str]]:
    """Return the facts of a job, as pairs of a name and a value."""
    rows = [
        ("images", f"{summary.images:,}"),
        *([("to do", f"{summary.to_do:,}")] if summary.to_do else []),
        ("restored", f"{summary.counts.restored:,}"),
        *([("unchanged", f"{summary.counts.unchanged:,}")] if summary.counts.unchanged else []),
        *([("set aside", aside_in_words(summary))] if summary.counts.set_aside else []),
        ("failed", f"{summary.counts.failed:,}"),
        ("skipped", f"{summary.counts.skipped:,}"),
        ("in conflict", f"{summary.counts.conflicts:,}"),
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


def aside_in_words(summary: JobSummary) -> str:
    """Return how many images were set aside: "3", or "3, of which 2 were accepted since"."""
    told = f"{summary.counts.set_aside:,}"
    return f"{told}, of which {summary.accepted:,} accepted since" if summary.accepted else told


def places(summary: JobSummary) -> list[tuple[str, str]]:
    """Return the places of further results, as pairs of a name and a place."""
    from pipeline.keys import Layout

    root, layout = summary.destination.rstrip("/"), Layout(summary.job_id)
    found = [("manifest", f"{root}/{layout.parts}")]
    if summary.sampled:
        found.append(("samples, mean and spread, a folder for each image", f"{root}/{layout.samples}"))
    return found


def notes(summary: JobSummary) -> list[str]:
    """Return sentences on decisions, on inputs skipped for their names and on inputs still to do, as far as any are."""
    from pipeline.planning.retry import number_of

    found = list[str]()
    if decided := decided_in_words(summary):
        found.append(decided)
    if summary.not_images:
        endings = endings_in_words(summary.endings)
        found.append(f"{summary.not_images:,} skipped: their names are not of JPEG, PNG or WebP files ({endings})")
    if summary.to_do:
        command = "deqir retry" if number_of(summary.job_id) else "deqir restore"
        found.append(f"{summary.to_do:,} to do: where no run is at work on them, run the same {command} again")
    return found


def decided_in_words(summary: JobSummary) -> str:
    """Return the main decisions in numbers; empty if none was recorded.

    An example: "812 undone as JPEG, 40 denoised, 12 unchanged (nothing to restore), 3 set aside (ringing)".
    """
    from pipeline.reporting.sums import beginning_of

    found = [f"{count:,} {DECIDED.get(name, name)}" for name, count in summary.decisions.items()]
    if summary.unchanged_for:
        found.append(f"{summary.counts.unchanged:,} unchanged ({', '.join(summary.unchanged_for)})")
    if summary.aside:
        reasons = Counter(beginning_of(doubt) for each in summary.aside for doubt in each.doubts)
        found.append(f"{len(summary.aside):,} set aside ({', '.join(name for name, _ in reasons.most_common(MOST))})")
    return ", ".join(found)


def endings_in_words(endings: Mapping[str, int]) -> str:
    """Return the counts of name endings in words: ".tif 2, .bmp 1"."""
    return ", ".join(f"{ending} {count:,}" for ending, count in endings.items())


def failures(summary: JobSummary) -> list[tuple[str, str, str]]:
    """Return key, error class and message of the first failures."""
    return [
        (failure.key, failure.error_type or failure.status, failure.error)
        for failure in summary.failures[:FAILURES_SHOWN]
    ]


def print_summary(console: Console, summary: JobSummary) -> None:
    """Print the job's id, ready to be copied, its counts and means, notes on them and the first failures.

    The number of further failures follows.
    """
    console.print(plain(f"job {summary.job_id}"), soft_wrap=True)
    table = Table(show_header=False)
    for name, value in facts(summary):
        table.add_row(name, plain(value))
    console.print(table)
    for note in notes(summary):
        console.print(plain(note), soft_wrap=True)
    for place in places(summary):
        console.print(plain(": ".join(place)), soft_wrap=True)
    rows = failures(summary)
    for key, kind, message in rows:
        console.print(plain(f"{key}: {kind}: {in_options(message)}"), soft_wrap=True)
    if more := len(summary.failures) - len(rows):
        console.print(f"... and {more:,} more; the manifest has them all")
    for line in aside_lines(summary):
        console.print(plain(line), soft_wrap=True)


def aside_lines(summary: JobSummary) -> list[str]:
    """Return a line for each of the first images set aside, and the command that delivers them."""
    if not summary.aside:
        return []
    lines = [f"{each.key}: set aside: {'; '.join(each.doubts)}" for each in summary.aside[:FAILURES_SHOWN]]
    more = len(summary.aside) - len(lines)
    return [
        *lines,
        *([f"... and {more:,} more; the manifest has them all"] if more else []),
        f"look at them below {aside_place(summary)}; to deliver them: {accept_command(summary)} KEY... or --all",
    ]


def aside_place(summary: JobSummary) -> str:
    """Return the place of the images set aside."""
    from pipeline.keys import Layout

    return f"{summary.destination.rstrip('/')}/{Layout(summary.job_id).aside('')}"


def accept_command(summary: JobSummary) -> str:
    """Return the command to deliver images set aside, without their keys."""
    return shlex.join(["deqir", "accept", summary.destination, "--job", summary.job_id])


def as_data(summary: JobSummary) -> dict[str, Any]:
    """Return the summary as JSON can hold it: times in ISO format, the failures in full."""
    data = asdict(summary)
    for name in ("started_at", "finished_at"):
        data[name] = data[name] and data[name].isoformat()
    (_, manifest), *samples = places(summary)
    return {
        "job_id": data.pop("job_id"),
        "destination": data.pop("destination"),
        **data.pop("counts"),
        **data,
        "manifest": manifest,
        "samples": samples[0][1] if samples else None,
    }


def counted(number: int, thing: str) -> str:
    """Return a number of things: "1 image", "1,200 images"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def plain(text: str) -> Text:
    """Return text shown unchanged, whatever the name of a file: without markup and control sequences."""
    return Text("".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text))
