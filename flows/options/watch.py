"""The options of `deqir watch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

FROM = "Sources of events about new objects (one or more)"
WHEN = "When runs are started"

Deployment: TypeAlias = Annotated[
    str,
    typer.Option(
        "--deployment",
        metavar="FLOW/NAME",
        help="The deployment to run, restore-archive/NAME; its job has the source and the destination.",
    ),
]
Queue: TypeAlias = Annotated[
    str | None,
    typer.Option("--queue", metavar="URL", help="SQS queue with events of S3.", rich_help_panel=FROM),
]
Webhook: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--webhook",
        metavar="HOST:PORT",
        help="Receive events at http://HOST:PORT/events, with the token in DEQIR_WEBHOOK_TOKEN or signed with "
        "DEQIR_WEBHOOK_SECRET; /healthz reports the state.",
        rich_help_panel=FROM,
    ),
]
Poll: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--poll", metavar="SECONDS", min=1, help="List the source every so many seconds.", rich_help_panel=FROM
    ),
]
InboxFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--inbox",
        metavar="FILE",
        help="Memory of the watcher, on a local disk that survives a restart.",
        show_default="~/.local/state/deqir/inbox-NAME.sqlite3",
        rich_help_panel=WHEN,
    ),
]
BatchSize: TypeAlias = Annotated[
    int,
    typer.Option("--batch-size", min=1, max=100_000, help="Most objects in a run.", rich_help_panel=WHEN),
]
BatchSeconds: TypeAlias = Annotated[
    float,
    typer.Option(
        "--batch-seconds", min=0, help="Longest wait of a new object for others, in seconds.", rich_help_panel=WHEN
    ),
]
MaxRuns: TypeAlias = Annotated[
    int,
    typer.Option(
        "--max-runs",
        min=1,
        help="Most runs of the deployment due or under way; new objects wait meanwhile.",
        rich_help_panel=WHEN,
    ),
]
