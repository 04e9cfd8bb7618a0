"""The commands of whoever runs deqir day by day: `deqir deploy` and `deqir doctor`."""

from __future__ import annotations

import typer
from rich.console import Console

from flows.display.exit_status import exit_status
from flows.options import degradation as what
from flows.options import deploy as d
from flows.options import options as o
from flows.options import result as how
from flows.options import runtime as run


def deploy(
    context: typer.Context,
    name: d.Name,
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
    cron: d.Cron = None,
    interval: d.Interval = None,
    rrule: d.RRule = None,
    timezone: d.Timezone = None,
    paused: d.Paused = None,
    work_pool: d.WorkPool = "deqir",
    pool_limit: d.PoolLimit = None,
    limit: d.Limit = 1,
    tag: d.Tag = None,
    notify: d.Notify = None,
) -> None:
    """Register a job with the Prefect server: its form, its schedule and where it runs. Again: change it."""
    with exit_status(Console(stderr=True)):
        from flows.environment import prepare_prefect
        from flows.options.request import restore_job

        job = restore_job(
            source=source,
            destination=destination,
            reference=reference,
            degradation=o.chosen(what.DEGRADATION, context),
            result=o.chosen(how.RESULT, context),
            runtime=o.chosen(run.RUNTIME, context),
        )
        prepare_prefect()
        from flows.deployment.deploy import Deployment, run_deploy
        from flows.deployment.schedules import schedule_of

        wanted = Deployment(
            name=name,
            job=job,
            schedule=schedule_of(cron=cron, interval=interval, rrule=rrule, timezone=timezone),
            pool=work_pool,
            pool_limit=pool_limit,
            limit=limit,
            tags=tuple(tag or ()),
            paused=paused,
            notify=notify,
        )
        run_deploy(wanted)


def doctor(deployment: d.Deployment = None) -> None:
    """Check server, pool, worker, schedules, Ray, stores and prior, and say what to do about what is wrong."""
    with exit_status(Console(stderr=True)):
        from flows.environment import prepare_prefect

        prepare_prefect()
        from flows.doctor.doctor import run_doctor

        run_doctor(None if deployment is None else deployment.removeprefix("restore-archive/"))
