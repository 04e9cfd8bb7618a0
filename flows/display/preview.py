"""`deqir restore --dry-run`: a preview of a run in one table."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from .summary import counted, plain

if TYPE_CHECKING:
    from pipeline.job.dry_run import Preview
    from pipeline.job.job import CheckedJob

SHOWN: Final = 12


def print_preview(job: CheckedJob, *, as_json: bool) -> None:
    """Print a preview of a run.

    Raises:
        StoreUnavailableError: A store does not answer.
    """
    from pipeline.job.dry_run import preview

    found, output = preview(job), Console()
    if as_json:
        output.out(json.dumps(asdict(found), indent=2), highlight=False)
        return
    table = Table(title=f"job {found.job_id}: nothing was written", show_header=False, title_justify="left")
    for name, value in lines(found):
        table.add_row(plain(name), plain(value))
    output.print(table)


def lines(found: Preview) -> list[tuple[str, str]]:
    """Return the lines of the preview, as pairs of a name and a value."""
    told = [
        ("inputs, in every version", f"{found.inputs:,}"),
        ("done by earlier runs", f"{found.done:,}"),
        ("to be restored", f"{found.to_restore:,}, in {counted(found.shards, 'shard')}"),
    ]
    if found.taken:
        told.append(
            ("outputs that are there", f"{found.taken:,}: conflicts, unless a run of this job that died left them")
        )
    for each in found.refused[:SHOWN]:
        told.append((f"not restored: {each.ending}", f"{each.count:,}: {each.reason.partition(';')[0]}"))
    if more := sum(each.count for each in found.refused[SHOWN:]):
        told.append(("not restored: others", f"{more:,}"))
    return told
