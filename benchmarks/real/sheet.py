"""A contact sheet: the middle of a few cases, one column a way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .archive.case import Case
from .archive.pictures import Pixels
from .archive.steps import image_of
from .judging import coloured

SIDE: Final = 112
"""Side of a crop in pixels."""
EACH: Final = 2
"""Cases of a group."""
LABEL, TOP, GAP = 14, 18, 4
QUALITY: Final = 70


def write_sheet(
    path: Path, cases: Sequence[Case], pixels: Mapping[tuple[str, str], Pixels], columns: Sequence[str]
) -> None:
    """Write a JPEG with the first cases of each group.

    Args:
        path: Of the file.
        cases: All cases.
        pixels: By case and column; a missing image is a blank.
        columns: Names of the columns; the last one is "original".
    """
    shown = [case for case in cases if sum(c.group == case.group for c in cases[: cases.index(case)]) < EACH]
    height = TOP + len(shown) * (SIDE + LABEL + GAP)
    page = Image.new("RGB", (len(columns) * (SIDE + GAP), height), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for place, column in enumerate(columns):
        pen.text((place * (SIDE + GAP) + 2, 3), column, fill="black", font=font)
    for row, case in enumerate(shown):
        top = TOP + row * (SIDE + LABEL + GAP)
        pen.text((2, top), f"{case.group}: {case.name}", fill="#444444", font=font)
        for place, column in enumerate(columns):
            image = pixels.get((case.name, column))
            if image is not None:
                page.paste(image_of(_middle(coloured(image))), (place * (SIDE + GAP), top + LABEL))
    page.save(path, quality=QUALITY, optimize=True)


def _middle(pixels: Pixels) -> Pixels:
    top, left = (pixels.shape[0] - SIDE) // 2, (pixels.shape[1] - SIDE) // 2
    crop: Pixels = np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
    return crop
