"""Options of `deqir deploy` and `deqir doctor` besides the fields of a job."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

WHEN = "When it runs by itself"
WHERE = "Where it runs"

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="Name of the deployment: restore-archive/NAME.")]
Cron: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--cron", metavar="TEXT", help='Cron line: "0 3 * * *" is every night at three.', rich_help_panel=WHEN
    ),
]
Interval: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--interval",
        metavar="TIME",
        help="Time between runs, counted from midnight: 30m, 6h, 1d.",
        rich_help_panel=WHEN,
    ),
]
RRule: TypeAlias = Annotated[
    str | None,
    typer.Option("--rrule", metavar="TEXT", help='Rule of a calendar: "FREQ=MONTHLY;BYDAY=1SA".', rich_help_panel=WHEN),
]
Timezone: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--timezone",
        metavar="NAME",
        help="Time zone of the schedule, such as Europe/Vienna.",
        show_default="UTC",
        rich_help_panel=WHEN,
    ),
]
Paused: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--paused/--resume",
        help="Pause the schedule, or let it run again.",
        show_default="unchanged; a new schedule runs",
        rich_help_panel=WHEN,
    ),
]
WorkPool: TypeAlias = Annotated[
    str,
    typer.Option(
        "--work-pool",
        metavar="NAME",
        help="Work pool where runs wait for a worker; made if it is not there.",
        rich_help_panel=WHERE,
    ),
]
PoolLimit: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--pool-limit",
        min=1,
        help="Runs of the pool at a time, of all deployments: 1 keeps two jobs from sharing a GPU.",
        show_default="1 for a new pool",
        rich_help_panel=WHERE,
    ),
]
Limit: TypeAlias = Annotated[
    int,
    typer.Option("--limit", min=1, help="Runs of this deployment at a time; others wait.", rich_help_panel=WHERE),
]
Tag: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TEXT", help="Tag of the deployment; may be given again.", rich_help_panel=WHERE),
]
Notify: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--notify",
        metavar="BLOCK",
        help="Block of the server to notify when runs end, as TYPE/NAME: webhook/operations.",
        rich_help_panel=WHERE,
    ),
]
Deployment: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--deployment",
        metavar="FLOW/NAME",
        help="Check this deployment alone: restore-archive/NAME.",
        show_default="all of restore-archive",
    ),
]
