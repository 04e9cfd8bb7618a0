"""The steps between an original and the file that somebody has of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage  # type: ignore[import-untyped]

from deqir.operators import kernels, masks

from .pictures import Pixels

FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "Lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}
MIDDLE: Final = 110
"""A usual level of a photograph, for which the noise of a sensor is told."""
LIGHT: Final = 235
"""Level of a scratch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened to a picture.

    Attributes:
        name: In words.
        apply: From pixels, and random numbers, to pixels.
        optical: It happened before the picture was framed, so it needs the scene beyond the frame.
    """

    name: str
    apply: Callable[[Pixels, np.random.Generator], Pixels]
    optical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """The file format in which the picture is given: its name, its ending and its options for Pillow."""

    name: str
    ending: str
    options: dict[str, Any]

    def encode(self, pixels: Pixels) -> bytes:
        """Return a file of pixels, which are rounded and clipped."""
        file = io.BytesIO()
        image_of(pixels).save(file, **self.options)
        return file.getvalue()


PNG: Final = Format(name="PNG", ending=".png", options={"format": "PNG"})


def jpeg(quality: int, subsampling: str = "4:2:0") -> Format:
    """Return JPEG of a quality of libjpeg, from 1 to 100."""
    options = {"format": "JPEG", "quality": quality, "subsampling": subsampling}
    return Format(
        name=f"JPEG {quality}{'' if subsampling == '4:2:0' else f' {subsampling}'}", ending=".jpg", options=options
    )


def image_of(pixels: Pixels) -> Image.Image:
    """Return a Pillow image of pixels, which are rounded and clipped."""
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def resized(factor: float, by: str) -> Step:
    """Return a change of size: the sides are multiplied by `factor`."""

    def apply(pixels: Pixels, random: np.random.Generator) -> Pixels:
        size = round(pixels.shape[1] * factor), round(pixels.shape[0] * factor)
        return np.asarray(image_of(pixels).resize(size, FILTERS[by]), dtype=np.float64)

    change = f"made {factor:g} times larger" if factor > 1 else f"made {1 / factor:g} times smaller"
    return Step(name=f"{change} by {by}", apply=apply)


def back_to(size: tuple[int, int], by: str) -> Step:
    """Return an enlargement to a width and height."""

    def apply(pixels: Pixels, random: np.random.Generator) -> Pixels:
        return np.asarray(image_of(pixels).resize(size, FILTERS[by]), dtype=np.float64)

    return Step(name=f"enlarged by {by}", apply=apply)


def sharpened() -> Step:
    """Return unsharp masking, as programs offer it."""

    def apply(pixels: Pixels, random: np.random.Generator) -> Pixels:
        return np.asarray(image_of(pixels).filter(ImageFilter.UnsharpMask(1, 150, 0)), dtype=np.float64)

    return Step(name="sharpened", apply=apply)


def compressed(quality: int, *, shift: int = 0) -> Step:
    """Return a JPEG saved and opened again; its blocks begin `shift` pixels outside the upper left corner."""

    def apply(pixels: Pixels, random: np.random.Generator) -> Pixels:
        wide = np.pad(pixels, ((shift, 0), (shift, 0), (0, 0))[: pixels.ndim], mode="edge")
        data = jpeg(quality).encode(wide)
        return np.asarray(Image.open(io.BytesIO(data)), dtype=np.float64)[shift:, shift:]

    return Step(name=f"JPEG {quality}{', cropped' if shift else ''}", apply=apply)


def soft(width: float) -> Step:
    """Return a Gaussian blur with a standard deviation in pixels."""
    return Step(name=f"Gaussian blur {width:g}", apply=partial(_blurred, width=width), optical=True)


def _blurred(pixels: Pixels, random: np.random.Generator, *, width: float) -> Pixels:
    blurred: Pixels = ndimage.gaussian_filter(pixels, (width, width) + (0,) * (pixels.ndim - 2), mode="mirror")
    return blurred


def out_of_focus(radius: float) -> Step:
    """Return the blur of a lens: a disk of a radius in pixels."""
    kernel = kernels.disk(radius).numpy()
    return Step(name=f"out of focus, disk {radius:g}", apply=partial(_convolved, kernel=kernel), optical=True)


def moved(length: float, angle: float) -> Step:
    """Return the blur of a motion, with its length in pixels and its angle in degrees."""
    kernel = kernels.motion(length, angle).numpy()
    name = f"moved by {length:g} at {angle:g} degrees"
    return Step(name=name, apply=partial(_convolved, kernel=kernel), optical=True)


def _convolved(pixels: Pixels, random: np.random.Generator, *, kernel: Pixels) -> Pixels:
    blurred: Pixels = ndimage.convolve(pixels, kernel.reshape(kernel.shape + (1,) * (pixels.ndim - 2)), mode="mirror")
    return blurred


def sensor(gain: float, read: float, *, developed: bool = False) -> Step:
    """Return a sensor's noise: its variance in levels squared is gain * level + read^2.

    Args:
        gain, read: In levels.
        developed: The noise was spread a little over neighbouring pixels, as by the making of colours in a camera.
    """

    def apply(pixels: Pixels, random: np.random.Generator) -> Pixels:
        noise = random.standard_normal(pixels.shape)
        if developed:
            noise = _unit(_blurred(noise, random, width=0.5))
        return pixels + noise * np.sqrt(gain * np.clip(pixels, 0, None) + read**2)

    return Step(
        name=f"sensor noise {255 * sensor_noise(gain, read):.0f}{', developed' if developed else ''}", apply=apply
    )


def sensor_noise(gain: float, read: float) -> float:
    """Return the noise of a sensor at a usual level, as a standard deviation of images in [0, 1]."""
    return float(np.sqrt(gain * MIDDLE + read**2)) / 255


def grain(deviation: float) -> Step:
    """Return film grain: grey noise, spread over neighbouring pixels, with a standard deviation in levels."""

    def apply(pixels: Pixels, random: np.random.Generator) -> Pixels:
        noise = _unit(ndimage.gaussian_filter(random.standard_normal(pixels.shape[:2]), 0.7, mode="wrap"))
        return pixels + deviation * noise.reshape(noise.shape + (1,) * (pixels.ndim - 2))

    return Step(name=f"grain {deviation:g}", apply=apply)


def _unit(noise: Pixels) -> Pixels:
    unit: Pixels = noise / noise.std()
    return unit


def faded(contrast: float, darkest: float) -> Step:
    """Return a fading: black becomes `darkest`, and differences shrink."""
    return Step(name=f"faded to {100 * contrast:g} %", apply=lambda pixels, random: contrast * pixels + darkest)


def yellowed() -> Step:
    """Return a fading in colour: blue loses most."""
    share, darkest = np.array([0.8, 0.72, 0.5]), np.array([45.0, 40.0, 48.0])
    return Step(name="yellowed", apply=lambda pixels, random: share * pixels + darkest)


def sepia() -> Step:
    """Return a toning of a grey picture in brown."""
    return Step(name="sepia", apply=lambda pixels, random: pixels[..., None] * np.array([1.07, 0.93, 0.72]))


def scratched(count: int) -> Step:
    """Return light scratches at the places of `scratches`."""

    def apply(pixels: Pixels, random: np.random.Generator) -> Pixels:
        return np.where(
            scratches(pixels.shape[:2], count).reshape(pixels.shape[:2] + (1,) * (pixels.ndim - 2)), LIGHT, pixels
        )

    return Step(name=f"{count} scratches", apply=apply)


def scratches(shape: tuple[int, ...], count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return True where a picture of this height and width is scratched."""
    height, width = shape
    return ~masks.scratches(height, width, count=count).numpy()
