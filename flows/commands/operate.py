"""The commands for daily operation: `deqir deploy` and `deqir doctor`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import typer

from flows.environment import prepare_prefect
from flows.options.request import checked
from flows.options.signature import Given, takes
from pipeline.config import RestoreJob

when: Final = partial(typer.Option, rich_help_panel="When it runs by itself")
where: Final = partial(typer.Option, rich_help_panel="Where it runs")


@takes(RestoreJob)
def deploy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the deployment: restore-archive/NAME.")],
    given: Given,
    cron: Annotated[str | None, when(metavar="TEXT", help='Cron line: "0 3 * * *" is every night at three.')] = None,
    interval: Annotated[
        str | None, when(metavar="TIME", help="Time between runs, counted from midnight: 30m, 6h, 1d.")
    ] = None,
    rrule: Annotated[str | None, when(metavar="TEXT", help='Rule of a calendar: "FREQ=MONTHLY;BYDAY=1SA".')] = None,
    timezone: Annotated[
        str | None,
        when(metavar="NAME", help="Time zone of the schedule, such as Europe/Vienna.", show_default="UTC"),
    ] = None,
    paused: Annotated[
        bool | None,
        when(
            "--paused/--resume",
            help="Pause the schedule, or let it run again.",
            show_default="unchanged; a new schedule runs",
        ),
    ] = None,
    work_pool: Annotated[
        str, where(metavar="NAME", help="Work pool where runs wait for a worker; made if it is not there.")
    ] = "deqir",
    pool_limit: Annotated[
        int | None,
        where(
            min=1,
            help="Runs of the pool at a time, of all deployments: 1 keeps two jobs from sharing a GPU.",
            show_default="1 for a new pool",
        ),
    ] = None,
    limit: Annotated[int, where(min=1, help="Runs of this deployment at a time; others wait.")] = 1,
    tag: Annotated[list[str] | None, where(metavar="TEXT", help="Tag of the deployment; may be given again.")] = None,
    notify: Annotated[
        str | None,
        where(metavar="BLOCK", help="Block of the server to notify when runs end, as TYPE/NAME: webhook/operations."),
    ] = None,
) -> None:
    """Register a job with the Prefect server: its form, its schedule and its work pool. Run it again to change them."""
    job = checked(RestoreJob, given)
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


def doctor(
    deployment: Annotated[
        str | None,
        typer.Option(
            metavar="FLOW/NAME",
            help="Check this deployment alone: restore-archive/NAME.",
            show_default="all of restore-archive",
        ),
    ] = None,
) -> None:
    """Check server, pool, worker, schedules, Ray, stores and prior, and print a remedy for each fault."""
    prepare_prefect()
    from flows.doctor.doctor import run_doctor

    run_doctor(None if deployment is None else deployment.removeprefix("restore-archive/"))
