"""Small archives of images as people have them, made of the sample photographs and of drawings."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

ORIGINALS: Final = Path(__file__).parents[3] / "samples" / "originals"


def photograph(name: str, box: tuple[int, int, int, int]) -> Image.Image:
    """A part of a sample photograph."""
    with Image.open(ORIGINALS / name) as image:
        return image.convert("RGB").crop(box)


def face(side: int = 192) -> Image.Image:
    return photograph("people/astronaut.png", (32, 0, 32 + side, side))


def coffee(side: int = 160) -> Image.Image:
    return photograph("things/coffee.png", (48, 48, 48 + side, 48 + side))


def levels(image: Image.Image) -> np.ndarray:
    """The pixels of an image as real numbers from 0 to 255."""
    return np.asarray(image, dtype=float)


def picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def text_page(size: tuple[int, int] = (192, 128), points: int = 18) -> Image.Image:
    page, font = Image.new("L", size, 255), ImageFont.load_default(points)
    for line, words in enumerate(("Archive box 17, folio 4v", "received 1899, page 42", "see also box 16")):
        ImageDraw.Draw(page).text((6, 8 + 2.1 * points * line), words, fill=0, font=font)
    return page


def halftone() -> Image.Image:
    distance = ((np.indices((96, 96)) % 6 - 2.5) ** 2).sum(0)
    return picture((distance > np.linspace(1, 12, 96)[None]) * 255.0)


def pixel_art() -> Image.Image:
    cat = photograph("animals/cat.png", (0, 0, 256, 256))
    return cat.resize((32, 32)).quantize(8).convert("RGB").resize((128, 128), Image.Resampling.NEAREST)


def graphics() -> dict[str, bytes]:
    """Pictures near black and white, or of few colours."""
    return {
        "text.png": png(text_page()),
        "text_1bit.png": png(text_page().convert("1")),
        "halftone.png": png(halftone()),
        "pixel_art.png": png(pixel_art()),
    }


def flat() -> dict[str, bytes]:
    """Pictures without anything to judge by."""
    ramp = np.linspace(40, 220, 96)[None].repeat(64, 0)
    return {
        "grey.png": png(Image.new("RGB", (48, 48), (128, 128, 128))),
        "blank_page.png": png(Image.new("RGB", (64, 96), (250, 248, 240))),
        "ramp.png": png(picture(ramp)),
    }


def colours() -> dict[str, bytes]:
    """The same photograph in colour, in sepia and in grey."""
    grey = levels(coffee(96).convert("L"))
    return {
        "colour.png": png(coffee(96)),
        "sepia.png": png(picture(grey[..., None] * np.array([1.07, 0.93, 0.72]))),
        "grey.png": png(picture(grey)),
    }


def out_of_focus(width: float = 1.8, noise: float = 3.0) -> bytes:
    """A soft and slightly noisy photograph, as JPEG 85."""
    soft = levels(face().filter(ImageFilter.GaussianBlur(width)))
    return jpeg(picture(soft + np.random.default_rng(1).normal(size=soft.shape) * noise), 85)


def grainy() -> tuple[bytes, np.ndarray]:
    """A faded grey photograph with film grain, as JPEG 92, and its pixels without the grain."""
    random, grey = np.random.default_rng(1), levels(coffee().convert("L"))
    grain = levels(picture(random.normal(size=grey.shape) * 40 + 128).filter(ImageFilter.GaussianBlur(0.7))) - 128
    faded = grey * 0.65 + 55
    return jpeg(picture(faded + grain * 0.8), 92), faded
