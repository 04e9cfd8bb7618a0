"""Pictures that are no photographs: text, halftone, pixel art, line art, screenshots, chart, gradient, flat page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE: Final = (192, 160)
LINES: Final = (
    "Archive box 17, folio 4v",
    "received 1899, page 42",
    "see also box 16 and 23",
    "Letters, 12 sheets, ink",
    "damp stain at the edge",
    "copied by hand in 1931",
    "returned to the shelf",
)
Picture = Image.Image


def text(*, points: int = 15) -> Picture:
    """Return a page of black text."""
    page = Image.new("L", SIZE, 255)
    for line, words in enumerate(LINES):
        ImageDraw.Draw(page).text((6, 5 + line * int(1.45 * points)), words, fill=0, font=_font(points))
    return page


def one_bit() -> Picture:
    """Return a page of text in black and white alone."""
    return text(points=18).point(lambda level: 255 if level > 128 else 0)


def halftone() -> Picture:
    """Return a ramp printed in round dots."""
    rows, columns = np.indices(SIZE[::-1])
    distance = (rows % 6 - 2.5) ** 2 + (columns % 6 - 2.5) ** 2
    return Image.fromarray(((distance > np.linspace(1, 12, SIZE[0])[None]) * 255).astype(np.uint8))


def pixel_art(*, pixel: int = 4) -> Picture:
    """Return a figure of large square pixels in few colours, mirrored left to right."""
    random, small = np.random.default_rng(5), (SIZE[0] // pixel, SIZE[1] // pixel)
    colours = np.array([(24, 20, 37), (190, 74, 47), (234, 212, 170), (62, 137, 72), (0, 153, 219)], dtype=np.uint8)
    half = random.choice(len(colours), (small[1], small[0] // 2), p=(0.45, 0.2, 0.15, 0.1, 0.1))
    whole = Image.fromarray(colours[np.concatenate([half, half[:, ::-1]], 1)])
    return whole.resize((small[0] * pixel, small[1] * pixel), Image.Resampling.NEAREST)


def line_art() -> Picture:
    """Return a drawing in thin ink lines with soft edges."""
    factor = 4
    page = Image.new("L", (SIZE[0] * factor, SIZE[1] * factor), 255)
    pen, random = ImageDraw.Draw(page), np.random.default_rng(6)
    for _ in range(14):
        x, y, radius = random.uniform((60, 60, 30), (page.width - 60, page.height - 60, 170))
        start = random.uniform(0, 360)
        pen.arc((x - radius, y - radius, x + radius, y + radius), start, start + random.uniform(60, 300), 0, 6)
    for x in range(20, page.width // 3, 22):
        pen.line((x, page.height - 40, x + 90, page.height - 190), fill=0, width=4)
    pen.polygon(((430, 90), (640, 150), (520, 300)), outline=0, width=8)
    return page.resize(SIZE, Image.Resampling.LANCZOS)


def screenshot(*, dark: bool = False) -> Picture:
    """Return a window with a title, a list, buttons and a field of text."""
    back, front, edge, mark = (
        ("#1e1f26", "#e6e6ea", "#3a3c48", "#4f8ef7") if dark else ("#f4f4f6", "#202124", "#c8c9ce", "#1a73e8")
    )
    window = Image.new("RGB", SIZE, back)
    pen = ImageDraw.Draw(window)
    pen.rectangle((0, 0, SIZE[0], 20), fill=edge)
    for place, colour in enumerate(("#e5534b", "#e0a93a", "#57ab5a")):
        pen.ellipse((6 + 13 * place, 6, 14 + 13 * place, 14), fill=colour)
    pen.text((60, 4), "Settings", fill=front, font=_font(11))
    for row, words in enumerate(("General", "Storage", "Network", "Users")):
        top = 28 + 22 * row
        if row == 1:
            pen.rectangle((4, top - 3, 70, top + 15), fill=mark)
        pen.text((10, top), words, fill="white" if row == 1 else front, font=_font(11))
    pen.line((76, 20, 76, SIZE[1]), fill=edge)
    pen.text((84, 28), "Used: 71 % of 2 TB", fill=front, font=_font(10))
    pen.rounded_rectangle((84, 46, 182, 56), 5, fill=edge)
    pen.rounded_rectangle((84, 46, 154, 56), 5, fill=mark)
    pen.rectangle((84, 68, 182, 106), outline=edge)
    for row, words in enumerate(("backup-2021.tar", "photos/holiday")):
        pen.text((88, 72 + 15 * row), words, fill=front, font=_font(10))
    pen.rounded_rectangle((126, 132, 182, 150), 4, fill=mark)
    pen.text((138, 134), "Apply", fill="white", font=_font(11))
    return window


def chart() -> Picture:
    """Return a chart of bars and a line."""
    page, random = Image.new("RGB", SIZE, "white"), np.random.default_rng(7)
    pen, heights = ImageDraw.Draw(page), random.uniform(20, 100, 8)
    pen.text((50, 3), "Loans by year", fill="black", font=_font(11))
    for level in range(0, 120, 30):
        pen.line((24, 140 - level, 188, 140 - level), fill="#dddddd")
        pen.text((3, 134 - level), str(level), fill="#555555", font=_font(9))
    for place, height in enumerate(heights):
        pen.rectangle((30 + 20 * place, 140 - height, 42 + 20 * place, 140), fill="#4c78a8")
        pen.text((30 + 20 * place, 143), f"{place + 12}", fill="#555555", font=_font(9))
    points = [(36 + 20 * place, 130 - 0.8 * height) for place, height in enumerate(heights[::-1])]
    pen.line(points, fill="#e45756", width=2)
    pen.line((24, 20, 24, 140, 188, 140), fill="black")
    return page


def gradient() -> Picture:
    """Return a smooth gradient between colours."""
    down, across = np.meshgrid(np.linspace(0, 1, SIZE[1]), np.linspace(0, 1, SIZE[0]), indexing="ij")
    levels = np.stack([40 + 180 * across, 60 + 120 * down, 200 - 120 * across * down], -1)
    return Image.fromarray(levels.round().astype(np.uint8))


def flat() -> Picture:
    """Return a blank page."""
    return Image.new("RGB", SIZE, (250, 248, 240))


def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points)


GRAPHICS: Final[Mapping[str, Callable[[], Picture]]] = {
    "text": text,
    "one bit": one_bit,
    "halftone": halftone,
    "pixel art": pixel_art,
    "line art": line_art,
    "screenshot": screenshot,
    "dark screenshot": partial(screenshot, dark=True),
    "chart": chart,
    "gradient": gradient,
    "flat": flat,
}
"""Each picture by its name."""
