"""The options of the command line: one line of `deqir restore` each, without their defaults' values.

An option that was not given is None and never reaches the configuration, which alone knows the defaults. The
defaults shown in the help are text here, because importing the configuration would import torch; a test compares
the two. Those that describe a job have a module for each part of its configuration; here is what else commands take.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import typer

from .degradation import DEGRADATION
from .result import OUT, RESULT
from .runtime import RUNTIME

ARGUMENTS = {"source": "SRC", "destination": "DST"}
FIELD = re.compile(f"`({'|'.join((*DEGRADATION, *RESULT, *RUNTIME))})`")


def option_name(path: Sequence[str]) -> str:
    """Return the option, or the argument, that sets a field of the configuration."""
    field = path[-1]
    return ARGUMENTS.get(field) or "--" + {"output_format": "format"}.get(field, field).replace("_", "-")


def in_options(text: str) -> str:
    """Return a message with the options of the command line for the fields that it names in backticks."""
    return FIELD.sub(lambda found: option_name([found[1]]), text)


def chosen(names: Sequence[str], context: typer.Context) -> dict[str, Any]:
    """Return some of the options that a command was called with."""
    return {name: context.params[name] for name in names}


SHOW = "What is shown"

Source: TypeAlias = Annotated[
    str, typer.Argument(metavar="SRC", help="Degraded images: a folder or s3://bucket/prefix. Never written to.")
]
Destination: TypeAlias = Annotated[
    str, typer.Argument(metavar="DST", help="Where results go: a folder or s3://bucket/prefix outside SRC.")
]
CleanSource: TypeAlias = Annotated[
    str, typer.Argument(metavar="SRC", help="Good images: a folder or s3://bucket/prefix. Never written to.")
]
RestoredArchive: TypeAlias = Annotated[
    str, typer.Argument(metavar="DST", help="Destination of earlier jobs: a folder or s3://bucket/prefix.")
]
MasksTo: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--masks",
        metavar="DEST",
        help="Write mask proposals there (white: may be damaged): a folder or s3://bucket/prefix outside SRC.",
        rich_help_panel=OUT,
    ),
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the summary as JSON on standard output.", rich_help_panel=SHOW)
]
DryRun: TypeAlias = Annotated[
    bool,
    typer.Option("--dry-run", help="Write nothing, and show what a run would do.", rich_help_panel=SHOW),
]
Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show Prefect's log lines.", rich_help_panel=SHOW)
]
JobToRetry: TypeAlias = Annotated[
    str | None, typer.Option("--job", metavar="ID", help="Of several jobs, this one.", show_default="the only one")
]
JobOption: TypeAlias = Annotated[
    str | None, typer.Option("--job", metavar="ID", help="This job alone, with its failures.")
]
