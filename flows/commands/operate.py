"""The commands for daily operation: `deqir deploy` and `deqir doctor`."""

from __future__ import annotations

from rich.console import Console

from flows.display.exit_status import exit_status
from flows.options import deploy as d
from flows.options.request import restore_job
from flows.options.signature import Given, takes
from pipeline.config import RestoreJob


@takes(RestoreJob)
def deploy(
    name: d.Name,
    given: Given,
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
    """Register a job with the Prefect server: its form, its schedule and its work pool. Run it again to change them."""
    with exit_status(Console(stderr=True)):
        from flows.environment import prepare_prefect

        job = restore_job(given)
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
    """Check server, pool, worker, schedules, Ray, stores and prior, and print a remedy for each fault."""
    with exit_status(Console(stderr=True)):
        from flows.environment import prepare_prefect

        prepare_prefect()
        from flows.doctor.doctor import run_doctor

        run_doctor(None if deployment is None else deployment.removeprefix("restore-archive/"))
