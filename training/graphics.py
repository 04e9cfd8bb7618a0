"""Pictures that are no photographs, drawn at random: pages of text, line art, halftones, charts, pixel art, ramps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Kind = Literal["text", "graphics", "flat"]
FONTS: Final = tuple(sorted(Path("/usr/share/fonts").rglob("*.ttf")))
LETTERS: Final = "etaoinshrdlucmfwypvbgkqjxz"
Random = np.random.Generator


def draw(kind: Kind, size: tuple[int, int], random: Random, photograph: Image.Image) -> Image.Image:
    """Return a picture of a kind, (width, height); halftones and pixel art are made of a photograph."""
    makers = MAKERS[kind]
    return makers[int(random.integers(len(makers)))](size, random, photograph)


def _page(size: tuple[int, int], random: Random, _: Image.Image) -> Image.Image:
    """Return lines of text, dark on light or the reverse, on white or tinted paper."""
    paper = random.uniform(200, 256, 3) if random.random() < 0.5 else np.full(3, 255.0)
    ink = random.uniform(0, 70, 3) if random.random() < 0.5 else np.zeros(3)
    if random.random() < 0.15:
        paper, ink = ink, paper
    image = Image.new("RGB", size, _colour(paper))
    _write(ImageDraw.Draw(image), (0, 0, *size), random, _colour(ink), int(random.integers(8, 34)))
    return image if random.random() < 0.6 else image.convert("L")


def _bilevel(size: tuple[int, int], random: Random, photograph: Image.Image) -> Image.Image:
    """Return a page of two tones: text, or a photograph dithered or cut at a tone."""
    if random.random() < 0.5:
        return _page(size, random, photograph).convert("L").convert("1").convert("L")
    grey = photograph.resize(size).convert("L")
    return grey.convert(
        "1", dither=Image.Dither.FLOYDSTEINBERG if random.random() < 0.6 else Image.Dither.NONE
    ).convert("L")


def _lines(size: tuple[int, int], random: Random, _: Image.Image) -> Image.Image:
    """Return line art: strokes, circles, hatching."""
    image = Image.new("L", size, int(random.integers(225, 256)))
    pen, ink = ImageDraw.Draw(image), int(random.integers(0, 60))
    for _stroke in range(int(random.integers(8, 60))):
        at = random.uniform(0, 1, 4) * np.array([*size, *size])
        width = int(random.integers(1, 4))
        shape = random.random()
        if shape < 0.5:
            points = [(at[0], at[1])]
            for _point in range(int(random.integers(1, 6))):
                points.append((points[-1][0] + random.normal() * 25, points[-1][1] + random.normal() * 25))
            pen.line(points, fill=ink, width=width, joint="curve")
        elif shape < 0.75:
            radius = random.uniform(4, 50)
            pen.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), outline=ink, width=width)
        else:
            gap, slant = random.uniform(3, 8), random.uniform(-20, 20)
            for step in range(int(random.integers(4, 14))):
                pen.line((at[0] + step * gap, at[1], at[0] + step * gap + slant, at[1] + 30), fill=ink, width=1)
    return image


def _halftone(size: tuple[int, int], random: Random, photograph: Image.Image) -> Image.Image:
    """Return a photograph or a ramp as dots that grow with its darkness."""
    grey = np.asarray(photograph.resize(size).convert("L")).astype(float) / 255
    if random.random() < 0.4:
        grey = np.linspace(0.05, 0.95, size[0])[None].repeat(size[1], 0)
    pitch, angle = random.uniform(4, 9), random.choice([0.0, 0.0, np.pi / 4, 0.26])
    rows, columns = np.indices((size[1], size[0]))
    across, down = np.cos(angle) * columns + np.sin(angle) * rows, np.cos(angle) * rows - np.sin(angle) * columns
    screen = (2 + np.cos(2 * np.pi * across / pitch) + np.cos(2 * np.pi * down / pitch)) / 4
    return Image.fromarray(((grey > screen) * 255).astype(np.uint8))


def _pixel_art(size: tuple[int, int], random: Random, photograph: Image.Image) -> Image.Image:
    """Return large pixels of few colours: a photograph's, or a mirrored sprite's."""
    scale = int(random.integers(2, 11))
    small = (max(8, size[0] // scale), max(8, size[1] // scale))
    if random.random() < 0.6:
        image = photograph.resize(small).quantize(int(random.integers(4, 25))).convert("RGB")
    else:
        colours = random.integers(0, 256, (int(random.integers(3, 9)), 3))
        half = random.choice(len(colours), (small[1], -(-small[0] // 2)), p=_falling(len(colours)))
        sprite = np.concatenate([half, half[:, ::-1]], 1)[:, : small[0]]
        image = Image.fromarray(colours[sprite].astype(np.uint8))
    return image.resize((small[0] * scale, small[1] * scale), Image.Resampling.NEAREST).crop((0, 0, *size))


def _chart(size: tuple[int, int], random: Random, _: Image.Image) -> Image.Image:
    """Return bars, curves or slices with axes and labels."""
    ground = 255 if random.random() < 0.7 else int(random.integers(20, 250))
    image = Image.new("RGB", size, (ground,) * 3)
    pen, (width, height) = ImageDraw.Draw(image), size
    count, kind, ink = int(random.integers(3, 9)), random.random(), (0, 0, 0) if ground > 128 else (255, 255, 255)
    for n in range(count):
        colour = _colour(random.uniform(0, 256, 3))
        if kind < 0.4:
            left = width * (0.1 + 0.85 * n / count)
            pen.rectangle(
                (left, height * random.uniform(0.1, 0.8), left + 0.7 * width / count, 0.9 * height), fill=colour
            )
        elif kind < 0.7:
            x = np.linspace(0.1, 0.95, 20) * width
            y = height * (0.5 + np.cumsum(random.normal(size=20)) * 0.05)
            pen.line(list(zip(x, y, strict=True)), fill=colour, width=int(random.integers(1, 4)))
        else:
            pen.pieslice(
                (width * 0.1, height * 0.1, width * 0.9, height * 0.9),
                360 * n / count,
                360 * (n + 1) / count,
                fill=colour,
            )
    if kind < 0.7:
        pen.line((0.08 * width, 0.05 * height, 0.08 * width, 0.9 * height, 0.97 * width, 0.9 * height), fill=ink)
    _write(pen, (0, int(0.91 * height), *size), random, ink, 10)
    return image


def _screen(size: tuple[int, int], random: Random, _: Image.Image) -> Image.Image:
    """Return windows, buttons and text on plain grounds."""
    dark = random.random() < 0.3
    image = Image.new("RGB", size, _colour(random.uniform(10, 70, 3) if dark else random.uniform(180, 256, 3)))
    pen = ImageDraw.Draw(image)
    for _window in range(int(random.integers(2, 9))):
        left, top = random.uniform(-0.1, 0.8) * size[0], random.uniform(-0.1, 0.8) * size[1]
        right, bottom = left + random.uniform(0.1, 0.7) * size[0], top + random.uniform(0.08, 0.5) * size[1]
        pen.rectangle(
            (left, top, right, bottom),
            fill=_colour(random.uniform(0, 256, 3)),
            outline=_colour(random.uniform(0, 256, 3)),
        )
        ink = (240, 240, 240) if dark else (20, 20, 20)
        _write(pen, (int(left) + 3, int(top) + 3, int(right), int(bottom)), random, ink, int(random.integers(8, 15)))
    return image


def _posterised(size: tuple[int, int], random: Random, photograph: Image.Image) -> Image.Image:
    """Return a drawing of plain areas: a photograph smoothed and cut to few colours."""
    smooth = photograph.resize(size).filter(ImageFilter.MedianFilter(7)).filter(ImageFilter.GaussianBlur(2))
    return smooth.quantize(int(random.integers(3, 9)), dither=Image.Dither.NONE).convert("RGB")


def _plain(size: tuple[int, int], random: Random, _: Image.Image) -> Image.Image:
    return Image.new("RGB", size, _colour(random.uniform(0, 256, 3)))


def _ramp(size: tuple[int, int], random: Random, _: Image.Image) -> Image.Image:
    """Return a linear or round gradient between two colours."""
    rows, columns = np.indices((size[1], size[0]))
    angle = random.choice([0, np.pi / 2, random.uniform(0, 2 * np.pi)])
    place = np.cos(angle) * columns + np.sin(angle) * rows
    if random.random() < 0.3:
        place = np.hypot(columns - random.uniform(0, size[0]), rows - random.uniform(0, size[1]))
    place = ((place - place.min()) / (np.ptp(place) + 1e-9))[..., None]
    first, last = random.uniform(0, 255, 3), random.uniform(0, 255, 3)
    if random.random() < 0.4:
        first, last = (np.full(3, each[0]) for each in (first, last))
    return Image.fromarray((first + place * (last - first)).astype(np.uint8))


def _write(pen: ImageDraw.ImageDraw, box: tuple[int, ...], random: Random, ink: tuple[int, ...], height: int) -> None:
    """Write lines of random words into a box."""
    font = (
        ImageFont.truetype(str(FONTS[int(random.integers(len(FONTS)))]), height)
        if FONTS
        else ImageFont.load_default(height)
    )
    left, top, right, bottom = box
    margin, gap = int(random.integers(0, 10)), height * random.uniform(1.1, 1.9)
    line = top + margin
    while line < bottom - height / 2:
        words = [
            "".join(random.choice(list(LETTERS), int(random.integers(1, 10)), p=_falling(26)))
            for _ in range(max(1, int((right - left) / (3 * height))))
        ]
        text = " ".join(words) if random.random() < 0.9 else " ".join(words).upper()
        pen.text((left + margin, line), text[: max(1, int((right - left) / (0.5 * height)))], fill=ink, font=font)
        line += int(gap * (1 if random.random() < 0.85 else 2))


def _falling(count: int) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = 1 / np.arange(1.0, count + 1)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _colour(values: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(int(value) for value in values.clip(0, 255))


Maker = Callable[[tuple[int, int], Random, Image.Image], Image.Image]
MAKERS: Final[dict[Kind, tuple[Maker, ...]]] = {
    "text": (_page, _page, _bilevel, _lines, _halftone),
    "graphics": (_pixel_art, _chart, _screen, _posterised),
    "flat": (_plain, _ramp, _ramp),
}
