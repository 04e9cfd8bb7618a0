"""Make samples/found/, photographs as people find them, from samples/originals: python samples/find.py

Needs numpy and pillow. Each file has one kind of damage; the last one has none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

HERE = Path(__file__).parent
RANDOM = np.random.default_rng(8)


def sensor(image: Image.Image, gain: float, read: float) -> Image.Image:
    """Return a photograph taken in little light: noise with the variance gain * level + read^2, in levels squared."""
    levels = np.asarray(image, dtype=float)
    noisy = levels + RANDOM.normal(size=levels.shape) * np.sqrt(gain * levels + read**2)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def main() -> None:
    """Write every file, overwriting what is there."""
    cat, temple, flower, coffee = (
        Image.open(HERE / "originals" / key).convert("RGB")
        for key in ("animals/cat.png", "places/temple.png", "nature/flower.png", "things/coffee.png")
    )
    found = {
        "animals/cat.jpg": (sensor(cat, 1.6, 7), 80),
        "places/temple.jpg": (sensor(temple.filter(ImageFilter.GaussianBlur(1.3)), 0.02, 1.5), 85),
        "nature/flower.jpg": (flower, 18),
        "things/coffee.jpg": (coffee, 97),
    }
    for key, (image, quality) in found.items():
        path = HERE / "found" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=quality)


if __name__ == "__main__":
    main()
