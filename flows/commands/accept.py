"""`deqir accept`: deliver restored images that were set aside, after a look at them."""

from __future__ import annotations

import getpass
import json
import os
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from flows.credentials import take_credentials_for
from flows.display.exit_status import Exit
from flows.display.summary import counted, plain
from flows.options.options import Json, RestoredArchive
from flows.options.request import location
from pipeline.errors import ConfigurationError

from .retry import asked_job


def accept(
    archive: RestoredArchive,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY]...", help="Images to deliver: their keys in the source or in DST."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Deliver all images that were set aside.")] = False,
    job: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The job, where there are several.", show_default="the only one"),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who accepts them, for the records.", show_default="this user's name"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Deliver restored images that were set aside as not trusted. Rows stay; a record says who accepted what, when."""
    from pipeline.job.accept import accept as accepted

    if bool(keys) == everything:
        raise ConfigurationError("name the images to deliver, or say --all: one of the two")
    destination = location(archive, name="DST")
    take_credentials_for(destination)
    asked = asked_job(destination, job)
    ends = list(accepted(destination, asked, None if everything else keys, by=by or user()))
    faults = [end for end in ends if end.error is not None]
    console = Console()
    if as_json:
        console.out(json.dumps([asdict(end) for end in ends], indent=2), highlight=False)
    else:
        for end in faults:
            console.print(plain(f"{end.key}: {end.error}"), soft_wrap=True)
        told = f"{counted(len(ends) - len(faults), 'image')} delivered"
        console.print(f"{told}, {len(faults):,} not" if faults else told)
    if faults:
        sys.exit(Exit.SOME_FAILED)


def user() -> str:
    """Return the name of the system's user; its number, where it has no name."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # as in a container
        return f"user {os.getuid()}"
