"""The options of `deqir deploy` and `deqir doctor` that `deqir restore` does not have."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

WHEN = "When it runs by itself"
WHERE = "Where it runs"

Name: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME", help="Of the deployment, which becomes restore-archive/NAME.")
]
Cron: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--cron", metavar="TEXT", help='As cron has it: "0 3 * * *" is every night at three.', rich_help_panel=WHEN
    ),
]
Interval: TypeAlias = Annotated[
    str | None,
    typer.Option("--interval", metavar="TIME", help="30m, 6h, 1d, counted from midnight.", rich_help_panel=WHEN),
]
RRule: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rrule", metavar="TEXT", help='As calendars have it: "FREQ=MONTHLY;BYDAY=1SA".', rich_help_panel=WHEN
    ),
]
Timezone: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--timezone",
        metavar="NAME",
        help="Of the schedule, such as Europe/Vienna.",
        show_default="UTC",
        rich_help_panel=WHEN,
    ),
]
Paused: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--paused/--resume",
        help="Register it, but let its schedule start nothing yet; or let it, where somebody paused it.",
        show_default="as it was, and a new one runs",
        rich_help_panel=WHEN,
    ),
]
WorkPool: TypeAlias = Annotated[
    str,
    typer.Option(
        "--work-pool", metavar="NAME", help="Where runs wait for a worker; made if need be.", rich_help_panel=WHERE
    ),
]
PoolLimit: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--pool-limit",
        min=1,
        help="Runs of the pool at a time, of whatever deployment, so that no two jobs share a GPU.",
        show_default="1 for a pool that is made",
        rich_help_panel=WHERE,
    ),
]
Limit: TypeAlias = Annotated[
    int,
    typer.Option("--limit", min=1, help="Runs of this deployment at a time; others wait.", rich_help_panel=WHERE),
]
Tag: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TEXT", help="To find it by; may be given again.", rich_help_panel=WHERE),
]
Notify: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--notify",
        metavar="BLOCK",
        help="A block of the server's that is told how runs end, as TYPE/NAME: webhook/operations.",
        rich_help_panel=WHERE,
    ),
]
Deployment: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--deployment",
        metavar="FLOW/NAME",
        help="Check this deployment alone, restore-archive/NAME.",
        show_default="every one of restore-archive",
    ),
]
