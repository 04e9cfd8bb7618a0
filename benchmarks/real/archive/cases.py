"""All cases of `benchmarks.real`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any, Final

import numpy as np
from PIL import Image

from deqir.operators import kernels

from .case import Case, Told
from .steps import (
    PNG,
    Format,
    Step,
    back_to,
    compressed,
    faded,
    grain,
    jpeg,
    moved,
    out_of_focus,
    resized,
    scratched,
    scratches,
    sensor,
    sensor_noise,
    sepia,
    sharpened,
    soft,
    yellowed,
)

SAME: Final = (192, 160)
ODD: Final = (187, 165)
"""Sides that no block divides."""
LARGE: Final = (256, 256)
"""The originals of enlargements by four."""
MANY: Final = 8
"""Scratches of a scratched picture."""
FULL: Final = "JPEG"
SMALL, SMALL_JPEG = "small", "small, JPEG"
FOCUS, MOTION, NOISE, SCANS = "out of focus", "motion", "noise", "scans"
ENLARGED, CLEAN, GRAPHIC, GRAPHIC_SMALL = "enlarged before", "clean", "graphics", "graphics, small"


def all_cases() -> tuple[Case, ...]:
    """Return every case; the first of each group is quick."""
    groups = (_full_size, _small, _small_jpeg, _focus, _motion, _noise, _scans, _enlarged, _clean, _graphics)
    cases = [case for group in groups for case in group()]
    return tuple(
        replace(case, quick=place == 0)
        for _, few in groupby(cases, lambda case: case.group)
        for place, case in enumerate(few)
    )


def _same(group: str, picture: str, told: Told, *chain: Step, kept: Format, **fields: Any) -> Case:
    words = ", ".join([picture, *(step.name for step in chain), kept.name])
    return Case(
        name=words, group=group, picture=picture, chain=chain, kept=kept, told=told, **({"size": SAME} | fields)
    )


def _full_size() -> Iterator[Case]:
    told = Told(settings={"task": "jpeg"})
    given = (
        ("astronaut", 10, "4:2:0"),
        ("chelsea", 20, "4:2:0"),
        ("coffee", 30, "4:2:0"),
        ("motorcycle_left", 40, "4:4:4"),
        ("china", 50, "4:2:0"),
        ("flower", 60, "4:2:0"),
        ("butterfly", 70, "4:2:2"),
        ("street", 80, "4:2:0"),
        ("fruits", 85, "4:2:0"),
    )
    for place, (picture, quality, subsampling) in enumerate(given):
        yield _same(FULL, picture, told, kept=jpeg(quality, subsampling), size=ODD if place % 3 == 2 else SAME)
    yield _same(FULL, "photographer", told, kept=jpeg(30), grey=True)
    yield _same(FULL, "building", told, compressed(40), kept=PNG)
    yield _same(FULL, "palace", told, compressed(35, shift=3), kept=jpeg(80))


def _smaller(group: str, picture: str, by: str, kernel: str, kept: Format, *more: Step) -> Case:
    told = Told(settings={"task": "sr", "scale": 4, "kernel": kernel})
    return _same(group, picture, told, resized(0.25, by), *more, kept=kept, size=LARGE, scale=4)


def _small() -> Iterator[Case]:
    yield _smaller(SMALL, "aloe", "bicubic", "bicubic", PNG)
    yield _smaller(SMALL, "astronaut", "nearest", "nearest", PNG)
    yield _smaller(SMALL, "butterfly", "Lanczos", "lanczos", PNG)
    yield _smaller(SMALL, "china", "area", "average", PNG)
    yield _smaller(SMALL, "baboon", "bicubic", "sharpened", PNG, sharpened())
    yield _smaller(SMALL, "motorcycle_left", "nearest", "nearest", PNG)


def _small_jpeg() -> Iterator[Case]:
    yield _smaller(SMALL_JPEG, "street", "bicubic", "bicubic", jpeg(75))
    yield _smaller(SMALL_JPEG, "astronaut", "bicubic", "bicubic", jpeg(40))
    yield _smaller(SMALL_JPEG, "coffee", "bicubic", "bicubic", jpeg(60))
    yield _smaller(SMALL_JPEG, "flower", "area", "average", jpeg(75))
    yield _smaller(SMALL_JPEG, "palace", "Lanczos", "lanczos", jpeg(85))
    yield _smaller(SMALL_JPEG, "graffiti", "area", "average", jpeg(90, "4:4:4"))
    yield _smaller(SMALL_JPEG, "fruits", "nearest", "nearest", jpeg(75))
    yield _smaller(SMALL_JPEG, "chelsea", "bicubic", "sharpened", jpeg(75), sharpened())


def _gaussian(width: float, noise: float) -> Told:
    return Told(settings={"task": "deblur", "width": width}, noise=noise)


def _focus() -> Iterator[Case]:
    weak = 3 / 255
    yield _same(FOCUS, "astronaut", _gaussian(1.8, weak), soft(1.8), sensor(0, 3), kept=jpeg(85))
    yield _same(FOCUS, "china", _gaussian(1.2, 2 / 255), soft(1.2), sensor(0, 2), kept=jpeg(90))
    yield _same(FOCUS, "graffiti", _gaussian(1.6, 1 / 255), soft(1.6), sensor(0, 1), kept=PNG)
    for picture, radius, quality in (("building", 2.5, 92), ("motorcycle_left", 4.0, 85)):
        told = Told(
            settings={"task": "deblur", "blur": "file"}, noise=weak, drawn=("kernel_file", partial(_picture_of, radius))
        )
        yield _same(FOCUS, picture, told, out_of_focus(radius), sensor(0.03, 2), kept=jpeg(quality))


def _picture_of(radius: float) -> Image.Image:
    kernel = kernels.disk(radius).numpy()
    return Image.fromarray(np.rint(kernel / kernel.max() * 255).astype(np.uint8))


def _motion() -> Iterator[Case]:
    for picture, length, angle, noise, kept in (
        ("street", 9.0, 30.0, 2.0, jpeg(92)),
        ("coffee", 15.0, -20.0, 3.0, jpeg(90)),
        ("aloe", 7.0, 90.0, 1.0, jpeg(85)),
    ):
        told = Told(settings={"task": "deblur", "blur": "motion", "width": length, "angle": angle}, noise=noise / 255)
        yield _same(MOTION, picture, told, moved(length, angle), sensor(0, noise), kept=kept)


def _noise() -> Iterator[Case]:
    for picture, gain, read, developed, kept in (
        ("rocket", 1.2, 6.0, False, jpeg(90)),
        ("fruits", 0.4, 3.0, False, PNG),
        ("chelsea", 0.8, 4.0, True, jpeg(85)),
        ("palace", 3.0, 10.0, False, jpeg(95)),
        ("flower", 1.6, 8.0, True, jpeg(75)),
        ("tissue", 0.2, 2.0, False, jpeg(92)),
    ):
        told = Told(settings={"task": "denoise"}, noise=sensor_noise(gain, read))
        yield _same(NOISE, picture, told, sensor(gain, read, developed=developed), kept=kept)


def _scans() -> Iterator[Case]:
    scan = partial(_same, SCANS, toned=True)
    grainy = partial(Told, settings={"task": "denoise"})
    yield scan("photographer", grainy(noise=16 / 255), faded(0.65, 55), grain(16), kept=jpeg(92), grey=True)
    yield scan("building", grainy(noise=10 / 255), sepia(), faded(0.7, 40), grain(10), kept=jpeg(90), grey=True)
    yield scan("coffee", grainy(noise=8 / 255), yellowed(), grain(8), kept=jpeg(85))
    mask = ("mask", partial(_mask, SAME))
    torn = Told(settings={"task": "inpaint"}, noise=8 / 255, drawn=mask)
    yield scan("street", torn, faded(0.75, 40), grain(8), scratched(MANY), kept=jpeg(92), grey=True)
    yield scan("aloe", replace(torn, noise=5 / 255), yellowed(), grain(5), scratched(MANY), kept=jpeg(90))


def _mask(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(scratches(size[::-1], MANY).astype(np.uint8) * 255)


def _enlarged() -> Iterator[Case]:
    told = Told(settings={"task": "jpeg"})
    yield _same(ENLARGED, "baboon", told, resized(0.5, "area"), back_to(SAME, "bicubic"), kept=jpeg(75))
    yield _same(ENLARGED, "butterfly", told, resized(0.66, "bicubic"), back_to(SAME, "bilinear"), kept=jpeg(85))
    chain = (resized(0.5, "bicubic"), compressed(60), back_to(SAME, "Lanczos"))
    yield _same(ENLARGED, "rocket", told, *chain, kept=jpeg(85))


def _clean() -> Iterator[Case]:
    """Told for these is the task that somebody might try: to remove noise."""
    told = Told(settings={"task": "denoise"})
    yield _same(CLEAN, "graffiti", told, kept=PNG)
    yield _same(CLEAN, "aloe", told, kept=jpeg(95))
    yield _same(CLEAN, "chelsea", told, kept=jpeg(98, "4:4:4"))
    yield _same(CLEAN, "photographer", told, kept=PNG, grey=True)
    yield _same(CLEAN, "street", told, kept=jpeg(96), size=ODD)


def _graphics() -> Iterator[Case]:
    """Told for these is the task for photographs; there is none for graphics."""
    graphic = partial(_same, GRAPHIC)
    noisy, coded = Told(settings={"task": "denoise"}), Told(settings={"task": "jpeg"})
    for picture in ("text", "one bit", "halftone", "pixel art", "line art", "screenshot", "chart", "gradient", "flat"):
        yield graphic(picture, noisy, kept=PNG)
    yield graphic("text", coded, kept=jpeg(60))
    yield graphic("dark screenshot", coded, kept=jpeg(80))
    yield graphic("line art", coded, kept=jpeg(75))
    for picture, by, kernel, scale in (
        ("text", "area", "average", 2),
        ("pixel art", "nearest", "nearest", 4),
        ("chart", "bicubic", "bicubic", 2),
    ):
        told = Told(settings={"task": "sr", "scale": scale, "kernel": kernel})
        yield _same(GRAPHIC_SMALL, picture, told, resized(1 / scale, by), kept=PNG, scale=scale)
