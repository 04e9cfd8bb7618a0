"""`deqir degrade`: make a test archive out of good images."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from flows.credentials import take_credentials_for
from flows.display.exit_status import Exit
from flows.display.summary import plain
from flows.options.options import MaxPixels
from flows.options.request import checked, location
from flows.options.signature import Given, takes
from pipeline.degradation import DEGRADED, Degradation
from pipeline.errors import ConfigurationError


@takes(Degradation)
def degrade(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="Good images: a folder or s3://bucket/prefix. Never written to.")
    ],
    destination: Annotated[
        str, typer.Argument(metavar="DST", help="Degraded images: a folder or s3://bucket/prefix outside SRC.")
    ],
    given: Given,
    noise: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Add noise of this standard deviation, for images in [0, 1].",
            rich_help_panel=DEGRADED,
        ),
    ] = 0.0,
    max_pixels: MaxPixels = None,
) -> None:
    """Make a test archive: degrade every image below SRC into DST, as PNG, never overwriting."""
    degradation = checked(Degradation, given)
    if degradation.task == "auto":
        raise ConfigurationError("say what to do to the images, such as --task sr --scale 4")
    from pipeline.tools.degrade import degrade as degraded_images

    console, done, failed = Console(), 0, 0
    source, destination = location(source), location(destination)
    take_credentials_for(source, destination)
    for image in degraded_images(source, destination, degradation, noise=noise, max_pixels=max_pixels):
        if image.error is None:
            done += 1
        else:
            failed += 1
            console.print(plain(f"{image.key}: {image.error}"), soft_wrap=True)
    console.print(plain(f"{done:,} images degraded into {destination}, {failed:,} not"), soft_wrap=True)
    if failed:
        sys.exit(Exit.SOME_FAILED)
