"""`deqir estimate`: estimates of how the images of an archive were degraded."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from flows.credentials import take_credentials_for
from flows.display.exit_status import Exit
from flows.display.summary import plain
from flows.display.text_table import columns
from flows.options.options import SHOWN, Json, MaxPixels, Source
from flows.options.request import location
from pipeline.config import WRITTEN

if TYPE_CHECKING:
    from deqir.estimation import Estimate
    from pipeline.tools.estimate import Estimated

UNKNOWN: Final = "?"
HEADINGS: Final = ("size", "noise", "blur", "scale", "JPEG", "damage", "image")
MEANING: Final = "Noise of 255, blur in pixels, nine in ten in the brackets; ?: it does not tell."
EXAMPLES: Final = 3
"""Names shown of a group's images."""


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
    each: Annotated[
        bool, typer.Option("--each", help="Print a line for each image, too.", rich_help_panel=SHOWN)
    ] = False,
    as_json: Json = False,
) -> None:
    """Estimate how the images below SRC were degraded, in groups, with the command that restores each group."""
    from pipeline.tools.estimate import estimate as estimates

    source, masks = location(source), masks and location(masks)
    take_credentials_for(source, masks)
    images = list(estimates(source, masks=masks, max_pixels=max_pixels))
    faults = [image for image in images if image.error is not None]
    if as_json:
        Console().out(json.dumps(records(images), indent=2), highlight=False)
    else:
        lines = [*table(images), Text()] if each else []
        for line in [*lines, *summary(images)]:
            Console().print(line, soft_wrap=True)  # a narrow terminal folds it; nothing is cut
    for image in faults:
        Console(stderr=True).print(plain(f"{image.key}: {image.error}"), soft_wrap=True)
    if faults:
        sys.exit(Exit.SOME_FAILED)


def records(images: list[Estimated]) -> list[dict[str, Any]]:
    """Return the estimates of each image, its group and the group's command, for JSON."""
    from pipeline.tools.groups import grouped

    groups = {key: group for group in grouped(images) for key in group.keys}
    return [
        asdict(image)
        | {
            "group": groups[image.key].text if image.key in groups else None,
            "command": groups[image.key].command if image.key in groups else None,
        }
        for image in images
    ]


def summary(images: list[Estimated]) -> list[Text]:
    """Return for each group its number of images and description, its command, and names of a few of its images."""
    from pipeline.tools.groups import grouped

    lines = list[Text]()
    for group in grouped(images):
        count = len(group.keys)
        names = ", ".join(group.keys[:EXAMPLES]) + (f" and {count - EXAMPLES} more" if count > EXAMPLES else "")
        lines += [Text(f"{count:,} {'image' if count == 1 else 'images'}: {group.text}")]
        lines += [Text(f"    {group.advice}")] if group.advice else []
        lines += [Text(f"    {group.command}")] if group.command else []
        lines += [Text("    ").append_text(plain(names))]
    unread = sum(image.width is None for image in images)
    return [*lines, Text(f"{unread:,} not read")] if unread else lines


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
