"""`deqir estimate`: estimates of how the images of an archive were degraded."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from flows.credentials import take_credentials_for
from flows.display.exit_status import Exit
from flows.display.summary import plain
from flows.display.text_table import columns
from flows.options.options import Json, MaxPixels, Source
from flows.options.request import location
from pipeline.config import WRITTEN

if TYPE_CHECKING:
    from deqir.estimation import Estimate
    from pipeline.tools.estimate import Estimated

UNKNOWN: Final = "?"
HEADINGS: Final = ("size", "noise", "blur", "scale", "JPEG", "damage", "image")
MEANING: Final = "Noise of 255, blur in pixels, nine in ten in the brackets; ?: it does not tell."


def estimate(
    source: Source,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="DEST",
            help="Write mask proposals there (white: may be damaged): a folder or s3://bucket/prefix outside SRC.",
            rich_help_panel=WRITTEN,
        ),
    ] = None,
    max_pixels: MaxPixels = None,
    as_json: Json = False,
) -> None:
    """Estimate how the images below SRC were degraded: noise, blur, enlarging, JPEG, scratches."""
    from pipeline.tools.estimate import estimate as estimates

    source, masks = location(source), masks and location(masks)
    take_credentials_for(source, masks)
    images = list(estimates(source, masks=masks, max_pixels=max_pixels))
    faults = [image for image in images if image.error is not None]
    if as_json:
        Console().out(json.dumps([asdict(image) for image in images], indent=2), highlight=False)
    else:
        for line in table(images):
            Console().print(line, soft_wrap=True)  # a narrow terminal folds it; nothing is cut
    for image in faults:
        Console(stderr=True).print(plain(f"{image.key}: {image.error}"), soft_wrap=True)
    if faults:
        sys.exit(Exit.SOME_FAILED)


def table(images: list[Estimated]) -> list[Text]:
    """Return a heading, a line for each image in columns, and the meaning of the columns; "?": unknown.

    The name is the last column: a terminal may fold a long name, and the other columns stay in place.
    """
    return [*columns([HEADINGS, *map(cells, images)], left=[len(HEADINGS) - 1]), Text(MEANING)]


def cells(image: Estimated) -> tuple[str, ...]:
    """Return the columns of an image."""
    if image.width is None:
        return ("not read", *[""] * (len(HEADINGS) - 2), image.key)
    return (
        f"{image.width} x {image.height}",
        interval(image.noise.sigma if image.noise else None, 255),
        interval(image.blur, 1),
        f"{image.upscaling.scale:g}" if image.upscaling else UNKNOWN,
        str(image.jpeg.quality) if image.jpeg else UNKNOWN,
        f"{image.damage:.2%}" if image.damage is not None else UNKNOWN,
        image.key,
    )


def interval(estimate: Estimate | None, unit: float) -> str:
    """Return an estimate with its interval."""
    if estimate is None:
        return UNKNOWN
    value, low, high = (unit * each for each in (estimate.value, estimate.low, estimate.high))
    return f"{value:.1f} ({low:.1f}-{high:.1f})"
