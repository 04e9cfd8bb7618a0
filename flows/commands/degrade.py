"""`deqir degrade`: make a test archive out of good images."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console

from flows.credentials import take_credentials_for
from flows.display.exit_status import Exit
from flows.display.summary import plain
from flows.options.request import location

if TYPE_CHECKING:
    from pipeline.degradation import Degradation


def run_degrade(
    source: str, destination: str, degradation: Degradation, *, noise: float, max_pixels: int | None
) -> None:
    """Degrade every image, print the number of images and name each failure; exit with status 3 if any failed.

    Raises:
        ConfigurationError: A place or a file cannot be used, or there is no image.
    """
    from pipeline.tools.degrade import degrade

    console, done, failed = Console(), 0, 0
    source, destination = location(source), location(destination)
    take_credentials_for(source, destination)
    for image in degrade(source, destination, degradation, noise=noise, max_pixels=max_pixels):
        if image.error is None:
            done += 1
        else:
            failed += 1
            console.print(plain(f"{image.key}: {image.error}"), soft_wrap=True)
    console.print(plain(f"{done:,} images degraded into {destination}, {failed:,} not"), soft_wrap=True)
    if failed:
        sys.exit(Exit.SOME_FAILED)
