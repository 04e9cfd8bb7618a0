"""`deqir estimate`: what the images of an archive tell of what was done to them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from .exits import Exit
from .request import location
from .summary import plain

if TYPE_CHECKING:
    from deqir.estimation import Estimate
    from pipeline.estimating import Estimated

UNKNOWN: Final = "?"


def run_estimate(source: str, *, masks: str | None, as_json: bool) -> None:
    """Print what can be read off each image; with status 3 if any could not be read or its mask not be written.

    Raises:
        ConfigurationError: A place cannot be used, or there is no image.
    """
    from pipeline.estimating import estimate

    images = list(estimate(location(source), masks=masks and location(masks)))
    faults = [image for image in images if image.error is not None]
    if as_json:
        Console().out(json.dumps([asdict(image) for image in images], indent=2), highlight=False)
    else:
        Console().print(table(images))
    for image in faults:
        Console(stderr=True).print(plain(f"{image.key}: {image.error}"), soft_wrap=True)
    if faults:
        sys.exit(Exit.SOME_FAILED)


def table(images: list[Estimated]) -> Table:
    """Return a line an image; "?" where it does not tell."""
    found = Table(caption="Nine in ten lie in the brackets; ?: it does not tell.")
    found.add_column("image", overflow="fold")
    for name in ("size", "noise, of 255", "blur, pixels", "enlarged by", "JPEG quality", "damage"):
        found.add_column(name, justify="right")
    for image in images:
        if image.width is None:
            found.add_row(plain(image.key), "not read")
            continue
        found.add_row(
            plain(image.key),
            f"{image.width} x {image.height}",
            interval(image.noise.sigma if image.noise else None, 255),
            interval(image.blur, 1),
            f"{image.upscaling.scale:g}" if image.upscaling else UNKNOWN,
            str(image.jpeg.quality) if image.jpeg else UNKNOWN,
            f"{image.damage:.2%}" if image.damage is not None else UNKNOWN,
        )
    return found


def interval(estimate: Estimate | None, unit: float) -> str:
    """Return an estimate with its interval."""
    if estimate is None:
        return UNKNOWN
    value, low, high = (unit * each for each in (estimate.value, estimate.low, estimate.high))
    return f"{value:.1f} ({low:.1f}-{high:.1f})"
