"""The commands of whoever runs deqir day by day: `deqir deploy` and `deqir doctor`."""

from __future__ import annotations

import typer
from rich.console import Console

from . import deploy_options as d
from . import options as o
from .exits import exit_status


def deploy(
    context: typer.Context,
    name: d.Name,
    source: o.Source,
    destination: o.Destination,
    task: o.TaskOption = None,
    scale: o.Scale = None,
    kernel: o.KernelOption = None,
    blur: o.BlurOption = None,
    width: o.Width = None,
    angle: o.Angle = None,
    kernel_file: o.KernelFile = None,
    mask: o.Mask = None,
    masks: o.Masks = None,
    grey: o.Grey = None,
    noise: o.Noise = None,
    prior: o.Prior = None,
    steps: o.Steps = None,
    eta: o.Eta = None,
    start_noise: o.StartNoise = None,
    mode: o.ModeOption = None,
    surrogate: o.SurrogateOption = None,
    tolerance: o.Tolerance = None,
    tile: o.Tile = None,
    overlap: o.Overlap = None,
    seed: o.Seed = None,
    optimise: o.Optimise = None,
    guide: o.Guide = None,
    guide_by: o.GuideByOption = None,
    samples: o.SamplesOption = None,
    output_format: o.FormatOption = None,
    quality: o.Quality = None,
    reference: o.Reference = None,
    executor: o.ExecutorOption = None,
    actors: o.Actors = None,
    ray_address: o.RayAddress = None,
    shard_size: o.ShardSize = None,
    batch_size: o.BatchSize = None,
    device: o.Device = None,
    max_pixels: o.MaxPixels = None,
    max_minutes: o.MaxMinutes = None,
    cron: d.Cron = None,
    interval: d.Interval = None,
    rrule: d.RRule = None,
    timezone: d.Timezone = None,
    paused: d.Paused = False,
    work_pool: d.WorkPool = "deqir",
    pool_limit: d.PoolLimit = None,
    limit: d.Limit = 1,
    tag: d.Tag = None,
    notify: d.Notify = None,
) -> None:
    """Register a job with the Prefect server: its form, its schedule and where it runs. Again: change it."""
    with exit_status(Console(stderr=True)):
        from .environment import prepare_prefect
        from .request import restore_job

        job = restore_job(
            source=source,
            destination=destination,
            reference=reference,
            degradation=o.chosen(o.DEGRADATION, context),
            result=o.chosen(o.RESULT, context),
            runtime=o.chosen(o.RUNTIME, context),
        )
        prepare_prefect()
        from .deploy import Deployment, run_deploy
        from .schedules import schedule_of

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
        from .environment import prepare_prefect

        prepare_prefect()
        from .doctor import run_doctor

        run_doctor(None if deployment is None else deployment.removeprefix("restore-archive/"))
