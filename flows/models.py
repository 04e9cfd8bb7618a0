"""`deqir models`: the networks at hand, and how to get those that are not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from pipeline.errors import ConfigurationError, JobError

from .exits import exit_status

models = typer.Typer(help="List, show or fetch the networks.", no_args_is_help=True)

Name: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME", help="As `deqir models list` names it; show also takes a prior's folder.")
]


@models.command("list")
def list_models() -> None:
    """List the networks that are known or in the cache."""
    with exit_status(Console(stderr=True)), model_errors():
        from deqir.models import available_models

        table = Table("name", "use", "here", "licence", "source")
        for model in available_models():
            here, source = ("yes", model.source) if model.here else ("no", f"run: deqir models fetch {model.name}")
            table.add_row(model.name, model.use, here, model.licence, source)
        Console().print(table)


@models.command("show")
def show_model(name: Name) -> None:
    """Show what is known of one network, after checking that its weights are whole."""
    with exit_status(Console(stderr=True)), model_errors():
        from deqir.models import describe_model

        table = Table(show_header=False, box=None)
        for field, value in describe_model(name).items():
            table.add_row(field, str(value))
        Console().print(table)


@models.command("fetch")
def fetch_model(name: Name) -> None:
    """Download a network into the cache, unless it is there, and check it."""
    with exit_status(Console(stderr=True)), model_errors():
        from deqir import models as known

        Console().print(f"{name} is in {known.fetch_model(name)}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def model_errors() -> Iterator[None]:
    """Turn what deqir says of a network or a download into our own errors.

    Raises:
        ConfigurationError: No such network, or it is not whole.
        JobError: It could not be downloaded.
    """
    from deqir.download import DownloadError, ModelError

    try:
        yield
    except ModelError as error:
        raise ConfigurationError(str(error)) from error
    except DownloadError as error:
        raise JobError(str(error)) from error
