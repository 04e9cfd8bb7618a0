"""`deqir restore`: check the job, run its flow with a display of its progress, print the summary."""

from __future__ import annotations

import json
import sys
from collections import deque
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from flows.credentials import take_credentials
from flows.display.exit_status import Exit
from flows.display.preview import print_preview
from flows.display.progress import Standing, display, watching
from flows.display.summary import as_data, print_summary
from flows.environment import prepare_prefect
from flows.flow.logs import log_to
from flows.options.options import SHOWN, Json, Verbose
from flows.options.request import checked
from flows.options.signature import Given, takes
from pipeline.config import RestoreJob

from .empty_source import no_image_in, nothing_in, refuse_empty

if TYPE_CHECKING:
    from pipeline.job.job import CheckedJob
    from pipeline.reporting.summary import JobSummary


@takes(RestoreJob)
def restore(
    given: Given,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show a preview of the run, and write nothing.", rich_help_panel=SHOWN)
    ] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Restore every image below SRC into DST. Running the same command again resumes."""
    run_restore(checked(RestoreJob, given), dry_run=dry_run, as_json=as_json, verbose=verbose)


def run_restore(job: RestoreJob, *, dry_run: bool, as_json: bool, verbose: bool) -> None:
    """Run the flow in this process, or print a preview: write nothing, and start neither Ray nor a network.

    Raises:
        ConfigurationError: The user has to correct something, such as an empty source; raised before Ray starts, and
            before Prefect starts unless it holds the credentials.
        JobError: The job stopped.
    """
    messages = prepared(verbose=verbose)
    from pipeline.job.job import check_job

    known = check_job(job)
    refuse_empty(known)
    if dry_run:
        print_preview(known, as_json=as_json)
    else:
        run_checked(job, known, messages, as_json=as_json)


def prepared(*, verbose: bool) -> Console:
    """Prepare logs and credentials, before any store is opened, and return the console for messages.

    Raises:
        ConfigurationError: The block with the credentials is not there or holds none, or no server answers.
    """
    messages = Console(stderr=True)
    log_to(messages, verbose=verbose)
    prepare_prefect()
    take_credentials()
    return messages


def run_checked(job: RestoreJob, known: CheckedJob, messages: Console, *, as_json: bool) -> None:
    """Run the flow, with a display on `messages` and the summary on standard output.

    Ends the process with status 3 if an image failed or was set aside and neither it nor a newer version of it was
    delivered since, or if an image is of a kind that cannot be restored.
    """
    output, standings = Console(), deque[Standing](maxlen=1)
    with watching(standings.append):
        summary = restore_with_display(job, known, messages)
    last = standings.pop()
    if not (last.total or job.retry):  # an earlier run began the job, and its source was empty then, too
        raise nothing_in(job.source)
    if as_json:
        output.out(json.dumps(as_data(summary) | {"done_in_this_run": last.fresh}, indent=2), highlight=False)
    else:
        if not last.fresh:
            output.print(f"nothing was left to restore: this job had done all {summary.images:,} images before")
        print_summary(output, summary)
    if 0 < summary.images == summary.not_images and not job.retry:  # begun by a deployed run, which skips them all
        raise no_image_in(job.source, summary.endings)
    if not summary.is_complete:
        sys.exit(Exit.SOME_FAILED)


def restore_with_display(job: RestoreJob, known: CheckedJob, console: Console) -> JobSummary:
    """Run the flow with a display of its progress on `console`."""
    from pipeline.job.job import record_job

    opened = record_job(known)
    from flows.server import check_server  # imports Prefect, after the checks that need none

    check_server()
    with display(console, f"restoring {job.source}{_auto(job)}") as show, watching(show):
        from flows.flow.restore_archive import already_opened, restore_archive

        with already_opened(opened):
            return restore_archive.with_options(retries=0)(job)  # the user decides about another try


def _auto(job: RestoreJob) -> str:
    """Return a remark on an enlargement without a told task, which undoes the rest before."""
    degradation = job.result.degradation
    if degradation.task != "auto" or degradation.scale == 1:
        return ""
    return f": each image is treated as it needs, then enlarged {degradation.scale} times (--task sr only enlarges)"
