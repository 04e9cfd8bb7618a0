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
    with exit_status(Console(stderr=True)), prior_errors():
        from deqir.priors import available_priors

        table = Table("name", "use", "here", "licence", "source")
        for name, card in available_priors().items():
            if card is None:
                table.add_row(name, "prior", "no", "", f"run: deqir models fetch {name}")
            else:
                table.add_row(name, "prior", "yes", card.licence, card.source)
        Console().print(table)


@models.command("show")
def show_model(name: Name) -> None:
    """Show what is known of one prior, after checking that its weights are whole."""
    with exit_status(Console(stderr=True)), prior_errors():
        from dataclasses import asdict

        from deqir.priors import prior_digest, prior_directory, read_card

        prior_digest(name)
        directory = prior_directory(name)
        table = Table(show_header=False, box=None)
        table.add_row("directory", str(directory))
        for field, value in asdict(read_card(directory)).items():
            table.add_row(field, str(value))
        Console().print(table)


@models.command("fetch")
def fetch_model(name: Name) -> None:
    """Download a network into the cache, unless it is there, and check it."""
    with exit_status(Console(stderr=True)), prior_errors():
        from deqir.priors import fetch_prior

        Console().print(f"{name} is in {fetch_prior(name)}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def prior_errors() -> Iterator[None]:
    """Turn what deqir says of a prior or a download into our own errors.

    Raises:
        ConfigurationError: No such prior, or it is not whole.
        JobError: It could not be downloaded.
    """
    from deqir.download import DownloadError
    from deqir.priors import PriorError

    try:
        yield
    except PriorError as error:
        raise ConfigurationError(str(error)) from error
    except DownloadError as error:
        raise JobError(str(error)) from error
