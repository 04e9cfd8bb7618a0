"""The command line: `deqir restore`, `retry`, `degrade`, `estimate`, `status`, `deploy`, `doctor`, `watch`, `models`.

Nothing heavy is imported before a command runs, so that help comes at once.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from .commands.models import models
from .commands.operate import deploy, doctor
from .display.exit_status import exit_status
from .options import degradation as what
from .options import options as o
from .options import result as how
from .options import runtime as run
from .options import watch as w


class Commands(TyperGroup):
    """All commands; a value of another kind than its option's is refused in our words."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from pydantic import ValidationError

            from pipeline.fault_text import in_words

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
    epilog="Exit status: 0 all restored, 3 some images failed (they are listed), 2 bad usage or configuration, "
    "1 the job failed, 130 or 143 interrupted.",
)
app.command()(deploy)
app.command()(doctor)
app.add_typer(models, name="models")


def main() -> None:
    """Run the command line; the console script `deqir`."""
    app(prog_name="deqir")  # what shells ask for completions by, too


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
def restore(
    context: typer.Context,
    source: o.Source,
    destination: o.Destination,
    task: what.TaskOption = None,
    scale: what.Scale = None,
    kernel: what.KernelOption = None,
    blur: what.BlurOption = None,
    width: what.Width = None,
    angle: what.Angle = None,
    kernel_file: what.KernelFile = None,
    mask: what.Mask = None,
    masks: what.Masks = None,
    grey: what.Grey = None,
    noise: how.Noise = None,
    prior: how.Prior = None,
    steps: how.Steps = None,
    eta: how.Eta = None,
    start_noise: how.StartNoise = None,
    mode: how.ModeOption = None,
    surrogate: how.SurrogateOption = None,
    tolerance: how.Tolerance = None,
    tile: how.Tile = None,
    overlap: how.Overlap = None,
    seed: how.Seed = None,
    optimise: how.Optimise = None,
    guide: how.Guide = None,
    guide_by: how.GuideByOption = None,
    samples: how.SamplesOption = None,
    output_format: how.FormatOption = None,
    quality: how.Quality = None,
    reference: how.Reference = None,
    executor: run.ExecutorOption = None,
    actors: run.Actors = None,
    ray_address: run.RayAddress = None,
    shard_size: run.ShardSize = None,
    batch_size: run.BatchSize = None,
    device: run.Device = None,
    max_pixels: run.MaxPixels = None,
    max_minutes: run.MaxMinutes = None,
    dry_run: o.DryRun = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Restore every image below SRC into DST. Running the same command again resumes."""
    with exit_status(Console(stderr=True)):
        from .commands.dry_run import run_preview
        from .commands.restore import run_restore
        from .options.request import restore_job

        job = restore_job(
            source=source,
            destination=destination,
            reference=reference,
            degradation=o.chosen(what.DEGRADATION, context),
            result=o.chosen(how.RESULT, context),
            runtime=o.chosen(run.RUNTIME, context),
        )
        (run_preview if dry_run else run_restore)(job, as_json=as_json, verbose=verbose)


@app.command()
def retry(
    context: typer.Context,
    archive: o.RestoredArchive,
    job: o.JobToRetry = None,
    executor: run.ExecutorOption = None,
    actors: run.Actors = None,
    ray_address: run.RayAddress = None,
    shard_size: run.ShardSize = None,
    batch_size: run.BatchSize = None,
    device: run.Device = None,
    max_pixels: run.MaxPixels = None,
    max_minutes: run.MaxMinutes = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Try again, with a job's settings, what it could not restore, and what is gone from DST though it was restored."""
    with exit_status(Console(stderr=True)):
        from .commands.restore import run_retry

        run_retry(archive, job_id=job, runtime=o.chosen(run.RUNTIME, context), as_json=as_json, verbose=verbose)


@app.command()
def degrade(
    context: typer.Context,
    source: o.CleanSource,
    destination: o.Destination,
    task: what.TaskOption = None,
    scale: what.Scale = None,
    kernel: what.KernelOption = None,
    blur: what.BlurOption = None,
    width: what.Width = None,
    angle: what.Angle = None,
    kernel_file: what.KernelFile = None,
    mask: what.Mask = None,
    masks: what.Masks = None,
    grey: what.Grey = None,
    noise: what.AddedNoise = 0.0,
    max_pixels: run.MaxPixels = None,
) -> None:
    """Make a test archive: degrade every image below SRC into DST, as PNG, never overwriting."""
    with exit_status(Console(stderr=True)):
        from .commands.degrade import run_degrade
        from .options.request import degradation_of

        degradation = degradation_of(o.chosen(what.DEGRADATION, context))
        run_degrade(source, destination, degradation, noise=noise, max_pixels=max_pixels)


@app.command()
def estimate(
    source: o.Source, masks: o.MasksTo = None, max_pixels: run.MaxPixels = None, as_json: o.Json = False
) -> None:
    """Show what the images below SRC tell of what was done to them: noise, blur, enlarging, JPEG, scratches."""
    with exit_status(Console(stderr=True)):
        from .commands.estimate import run_estimate

        run_estimate(source, masks=masks, max_pixels=max_pixels, as_json=as_json)


@app.command()
def status(archive: o.RestoredArchive, job: o.JobOption = None, as_json: o.Json = False) -> None:
    """Show where the jobs of an archive stand, from their plans and manifests alone."""
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
