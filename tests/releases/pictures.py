"""Small pictures, masks and blurs for recorded jobs."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def picture(
    seed: int, *, size: tuple[int, int] = (16, 12), mode: str = "RGB", kind: str = "PNG", grain: float = 0
) -> bytes:
    """Return a file of smooth shapes, other ones for each seed; `size` is (width, height), `grain` of 255."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width] / 8
    channels = [np.sin(x * (1 + seed % 3) + c) + np.cos(y * (1 + seed % 5) + seed + c) for c in range(3)]
    noise = np.random.default_rng(seed).normal(0, grain, (height, width, 3)) if grain else 0
    pixels = np.clip(np.stack(channels, -1) * 50 + 128 + noise, 0, 255).astype(np.uint8)
    return file_of(Image.fromarray(pixels, "RGB").convert(mode), kind)


def scratch(column: int, *, size: tuple[int, int] = (16, 12)) -> bytes:
    """Return a mask with an upright scratch, two pixels wide."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[1:-2, column : column + 2] = 255
    return file_of(Image.fromarray(mask, "L"), "PNG")


def streak() -> bytes:
    """Return the picture of a blur, a short slanted line."""
    return file_of(Image.fromarray((200 * np.eye(3, 5, 1) + 55 * np.eye(3, 5)).astype(np.uint8), "L"), "PNG")


def file_of(image: Image.Image, kind: str) -> bytes:
    """Return an image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()
