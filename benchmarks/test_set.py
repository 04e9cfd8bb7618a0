"""The ten test photographs for priors: scikit-image's, scikit-learn's and OpenCV's; never trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import skimage
from PIL import Image
from torch import Tensor

from deqir.pretrained.download import cache_dir
from training.packages import Package, unpack

from . import photographs

SCIKIT_IMAGE: Final = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
OTHERS: Final = (
    (
        Package(
            name="python3-sklearn",
            version="1.2.1+dfsg-1",
            sha256="ca0c6be401d14871c7e93cfdd8d1f561595dc65e6e2ad2501d568aee7f7efc58",
            folder="usr/lib/python3/dist-packages/sklearn/datasets/images",
        ),
        ("china.jpg", "flower.jpg"),
    ),
    (
        Package(
            name="opencv-doc",
            version="4.6.0+dfsg-12",
            sha256="4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
            folder="usr/share/doc/opencv-doc/examples/data",
        ),
        ("baboon.jpg", "fruits.jpg", "butterfly.jpg"),
    ),
)


def photograph_paths() -> dict[str, Path]:
    """Return the file of each test photograph by its name, fetching missing packages.

    Raises:
        DataError: A package could not be fetched, or differs from the pinned one.
    """
    folder = Path(skimage.__file__).parent / "data"
    paths = {file.partition(".")[0]: folder / file for file in SCIKIT_IMAGE}
    for package, files in OTHERS:
        place = unpack(package, cache_dir() / "photographs")
        paths |= {file.partition(".")[0]: place / file for file in files}
    return paths


def middle_square(path: Path, size: int) -> Tensor:
    """Return the middle square of a photograph in [-1, 1], scaled to (1, 3, size, size)."""
    return photographs.middle_square(Image.open(path), size)
