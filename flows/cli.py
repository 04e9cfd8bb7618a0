"""The command line `deqir`, with all its commands.

Nothing heavy is imported before a command runs: help comes at once.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from pipeline.fault_text import in_words

from .commands.accept import accept
from .commands.degrade import degrade
from .commands.estimate import estimate
from .commands.models import models
from .commands.operate import deploy, doctor
from .commands.restore import restore
from .commands.retry import retry
from .commands.status import status
from .commands.watch import watch
from .display.exit_status import exit_status


class Commands(TyperGroup):
    """All commands; an error becomes a line and an exit status, a value of the wrong kind is refused in plain words."""

    def invoke(self, ctx: Any) -> Any:
        with exit_status():
            try:
                return super().invoke(ctx)
            except typer.BadParameter as error:
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
    epilog="Exit status: 0 all restored or unchanged, 3 some images failed, were set aside or are of a kind that cannot"
    " be restored (they are listed), 2 bad usage or configuration, 1 the job failed, 130 or 143 interrupted.",
)
for command in (deploy, doctor, restore, retry, accept, degrade, estimate, status, watch):
    app.command()(command)
app.add_typer(models, name="models")


def main() -> None:
    """Run the command line; the console script `deqir`."""
    app(prog_name="deqir")  # shells ask for completions by this name, too


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
