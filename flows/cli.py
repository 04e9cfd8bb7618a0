"""The command line: `deqir restore`, `retry`, `degrade`, `estimate`, `status`, `deploy`, `doctor`, `watch`, `models`.

Nothing heavy is imported before a command runs: help comes at once.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from typer.core import TyperGroup

from pipeline.config import RestoreJob, RuntimeConfig
from pipeline.degradation import Degradation
from pipeline.fault_text import in_words

from .commands.models import models
from .commands.operate import deploy, doctor
from .display.exit_status import exit_status
from .options import options as o
from .options import watch as w
from .options.request import degradation_of, restore_job
from .options.signature import Given, takes


class Commands(TyperGroup):
    """All commands; a value of the wrong kind is refused in plain words."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                error.message = in_words(error.__cause__)
            raise


app = typer.Typer(
    name="deqir",
    cls=Commands,
    help="Restore large archives of degraded images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit status: 0 all restored, 3 some images failed (the list is printed), 2 bad usage or configuration, "
    "1 the job failed, 130 or 143 interrupted.",
)
app.command()(deploy)
app.command()(doctor)
app.add_typer(models, name="models")


def main() -> None:
    """Run the command line; the console script `deqir`."""
    app(prog_name="deqir")  # shells ask for completions by this name, too


def version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from deqir import __version__

        print(f"deqir {__version__}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Restore large archives of degraded images."""


@app.command()
@takes(RestoreJob)
def restore(given: Given, dry_run: o.DryRun = False, as_json: o.Json = False, verbose: o.Verbose = False) -> None:
    """Restore every image below SRC into DST. Running the same command again resumes."""
    with exit_status(Console(stderr=True)):
        from .commands.dry_run import run_preview
        from .commands.restore import run_restore

        (run_preview if dry_run else run_restore)(restore_job(given), as_json=as_json, verbose=verbose)


@app.command()
@takes(RuntimeConfig)
def retry(
    archive: o.RestoredArchive,
    given: Given,
    job: o.JobToRetry = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Retry a job's failures, and restore again the images that are gone from DST since, with the job's settings."""
    with exit_status(Console(stderr=True)):
        from .commands.restore import run_retry

        run_retry(archive, job_id=job, runtime=given, as_json=as_json, verbose=verbose)


@app.command()
@takes(Degradation)
def degrade(
    source: o.CleanSource,
    destination: o.TestArchive,
    given: Given,
    noise: o.AddedNoise = 0.0,
    max_pixels: o.MaxPixels = None,
) -> None:
    """Make a test archive: degrade every image below SRC into DST, as PNG, never overwriting."""
    with exit_status(Console(stderr=True)):
        from .commands.degrade import run_degrade

        run_degrade(source, destination, degradation_of(given), noise=noise, max_pixels=max_pixels)


@app.command()
def estimate(
    source: o.Source, masks: o.MasksTo = None, max_pixels: o.MaxPixels = None, as_json: o.Json = False
) -> None:
    """Estimate how the images below SRC were degraded: noise, blur, enlarging, JPEG, scratches."""
    with exit_status(Console(stderr=True)):
        from .commands.estimate import run_estimate

        run_estimate(source, masks=masks, max_pixels=max_pixels, as_json=as_json)


@app.command()
def status(archive: o.RestoredArchive, job: o.JobOption = None, as_json: o.Json = False) -> None:
    """Show the progress of the jobs of an archive, from their plans and manifests alone."""
    with exit_status(Console(stderr=True)):
        from .commands.status import show_status

        show_status(archive, job_id=job, as_json=as_json)


@app.command()
def watch(
    deployment: w.Deployment,
    queue: w.Queue = None,
    webhook: w.Webhook = None,
    poll: w.Poll = None,
    inbox: w.InboxFile = None,
    batch_size: w.BatchSize = 1000,
    batch_seconds: w.BatchSeconds = 30.0,
    max_runs: w.MaxRuns = 2,
) -> None:
    """Start runs of a deployment for new objects in its source, until SIGTERM or SIGINT."""
    with exit_status(Console(stderr=True)):
        from .commands.watch import run_watch

        run_watch(
            deployment=deployment,
            queue=queue,
            webhook=webhook,
            poll=poll,
            inbox=inbox,
            batch_size=batch_size,
            batch_seconds=batch_seconds,
            max_runs=max_runs,
        )
