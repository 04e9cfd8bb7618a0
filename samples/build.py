"""Cut the sample archive's originals out of scikit-image and scikit-learn: python samples/build.py

Needs scikit-image 0.26.0 and scikit-learn 1.9.1 (their wheels carry the photographs); everything else in this
repository works from the files that this wrote. The degraded archive comes from the originals by
`deqir degrade samples/originals samples/archive --scale 4`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage
import sklearn.datasets
from PIL import Image

SIDE = 256
SKIMAGE = Path(skimage.__file__).parent / "data"
SKLEARN = Path(sklearn.datasets.__file__).parent / "images"

CUTS: tuple[tuple[str, Path, tuple[int, int, int]], ...] = (
    ("people/astronaut.png", SKIMAGE / "astronaut.png", (0, 0, 512)),
    ("people/photographer.png", SKIMAGE / "camera.png", (0, 0, 512)),
    ("animals/cat.png", SKIMAGE / "chelsea.png", (75, 0, 300)),
    ("things/coffee.png", SKIMAGE / "coffee.png", (100, 0, 400)),
    ("things/coins.png", SKIMAGE / "coins.png", (0, 0, 303)),
    ("things/shuttle.png", SKIMAGE / "astronaut.png", (256, 0, 256)),
    ("places/temple.png", SKLEARN / "china.jpg", (107, 0, 427)),
    ("places/launch.png", SKIMAGE / "rocket.jpg", (107, 0, 427)),
    ("places/wall.png", SKIMAGE / "brick.png", (0, 0, 512)),
    ("nature/flower.png", SKLEARN / "flower.jpg", (107, 0, 427)),
    ("nature/galaxies.png", SKIMAGE / "hubble_deep_field.jpg", (128, 0, 872)),
    ("science/retina.png", SKIMAGE / "retina.jpg", (0, 0, 1411)),
    ("science/tissue.png", SKIMAGE / "ihc.png", (0, 0, 512)),
)
"""The place of each original below originals/, its photograph, and left, top and side of its square in pixels."""


def cut_out(source: Path, box: tuple[int, int, int]) -> Image.Image:
    """Return the square of a photograph, scaled to SIDE, in the photograph's own colour mode."""
    left, top, side = box
    with Image.open(source) as photograph:
        square = photograph.crop((left, top, left + side, top + side))
    grey = np.asarray(square).ndim == 2
    return square.convert("L" if grey else "RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def main() -> None:
    """Write every original, overwriting what is there."""
    folder = Path(__file__).parent / "originals"
    for key, source, box in CUTS:
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        cut_out(source, box).save(path, optimize=True)


if __name__ == "__main__":
    main()
