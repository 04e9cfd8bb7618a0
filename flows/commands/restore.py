"""`deqir restore`: check the job, run its flow with a display of its progress, print the summary."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from flows.credentials import take_credentials
from flows.display.exit_status import Exit
from flows.display.progress import Standing, display, watching
from flows.display.summary import as_data, print_summary
from flows.environment import prepare_prefect
from flows.flow.logs import log_to

from .empty_source import no_image_in, nothing_in, refuse_empty

if TYPE_CHECKING:
    from pipeline.config import RestoreJob
    from pipeline.job.job import CheckedJob
    from pipeline.reporting.summary import JobSummary


def run_restore(job: RestoreJob, *, as_json: bool, verbose: bool) -> None:
    """Run the flow in this process, with a display on standard error and the summary on standard output.

    Ends the process with status 3 if an image failed, no retry restored it, and no newer version of it was restored.

    Raises:
        ConfigurationError: The user has to correct something, such as an empty source; raised before Ray starts, and
            before Prefect starts unless it holds the credentials.
        JobError: The job stopped.
    """
    messages = prepared(verbose=verbose)
    from pipeline.job.job import check_job

    run_checked(job, check_job(job), messages, as_json=as_json)


def run_retry(
    destination: str, *, job_id: str | None, runtime: Mapping[str, Any], as_json: bool, verbose: bool
) -> None:
    """Retry the images that an earlier job could not restore; display and summary are as in `run_restore`.

    Args:
        destination, job_id, runtime: As for `retry_job`.
        as_json, verbose: As for `run_restore`.

    Raises:
        ConfigurationError: As for `retry_job` and `run_restore`.
        JobError: The job stopped.
    """
    from .retry import retry_job

    messages = prepared(verbose=verbose)
    checked = retry_job(destination, job_id=job_id, runtime=runtime)
    run_checked(checked.config, checked, messages, as_json=as_json)


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


def run_checked(job: RestoreJob, checked: CheckedJob, messages: Console, *, as_json: bool) -> None:
    """Run the flow, print its summary and end the process with the status of its result."""
    output, last = Console(), LastStanding()
    with watching(last):
        summary = restore_with_display(job, checked, messages)
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
    if summary.failures:
        sys.exit(Exit.SOME_FAILED)


def restore_with_display(job: RestoreJob, checked: CheckedJob, console: Console) -> JobSummary:
    """Run the flow with a display of its progress on `console`."""
    from pipeline.job.job import record_job

    refuse_empty(checked)
    opened = record_job(checked)
    from flows.server import check_server  # imports Prefect, after the checks that need none

    check_server()
    with display(console, f"restoring {job.source}") as show, watching(show):
        from flows.flow.restore_archive import already_opened, restore_archive

        with already_opened(opened):
            return restore_archive.with_options(retries=0)(job)  # the user decides about another try


@dataclass(slots=True)
class LastStanding:
    """Numbers of images of the whole job, and of this run."""

    total: int = 0
    fresh: int = 0

    def __call__(self, standing: Standing) -> None:
        self.total = standing.total
        self.fresh = standing.fresh
