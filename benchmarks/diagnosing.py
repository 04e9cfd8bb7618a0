"""The diagnosis on photographs as people have them: compressed, grainy, out of focus, shrunk; and on drawn pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from torch import Tensor
from torch.nn import functional

from deqir.estimation import Diagnosis, Estimate, diagnose
from deqir.estimation.diagnosis.damages import LUMA_OF_OWN
from training.chains import Chain, compressed, damaged, image_of, levels_of
from training.graphics import MAKERS, Kind

SIDE: Final = 192
NEAR_NOISE: Final = (2 / 255, 0.4)
NEAR_BLUR: Final = (0.5, 0.3)
"""Largest error of a useful estimate: absolute, or as a share of the truth."""
QUALITIES: Final = (30, 95)
CASES: Final[tuple[tuple[str, Chain], ...]] = (
    ("JPEG", Chain()),
    ("white noise 3, JPEG", Chain(noise="white", level=3)),
    ("white noise 8, JPEG", Chain(noise="white", level=8)),
    ("white noise 20, JPEG", Chain(noise="white", level=20)),
    ("noise 8 growing with light, JPEG", Chain(noise="shot", level=8)),
    ("grain 6, 0.5 pixels, JPEG", Chain(noise="grain", level=6, grain=0.5)),
    ("grain 12, 0.8 pixels, grey, JPEG", Chain(noise="grain", level=12, grain=0.8, grey=True)),
    ("grain 20, 1 pixel, JPEG", Chain(noise="grain", level=20, grain=1.0)),
    ("Gaussian blur 1, JPEG", Chain(blur=1)),
    ("Gaussian blur 1.8, noise 3, JPEG", Chain(blur=1.8, noise="white", level=3)),
    ("disk 2 (radius 4), noise 5, JPEG", Chain(blur=2, disk=True, noise="grey", level=5)),
    ("disk 3 (radius 6), JPEG", Chain(blur=3, disk=True)),
    ("blur 1, shrunk by 0.7, noise 5, JPEG", Chain(blur=1, shrink=0.7, noise="grey", level=5)),
    ("faded, blur 1.2, grain 8, JPEG", Chain(contrast=0.65, offset=55, blur=1.2, noise="grain", level=8, grain=0.7)),
)


def compressed_table(images: Sequence[Tensor]) -> Iterable[str]:
    """Yield the noise and the blur told of compressed and grainy photographs."""
    yield "Quality 30 to 95 at random; of each case, by share of the images:\n"
    yield "| case | noise told | in the interval | useful | blur told | in the interval | useful |"
    yield "|---|---|---|---|---|---|---|"
    random = np.random.default_rng(0)
    noises, blurs = list[list[bool]](), list[list[bool]]()
    for name, case in CASES:
        noise, blur = list[list[bool]](), list[list[bool]]()
        for image in images:
            chain = replace(case, quality=int(random.integers(QUALITIES[0], QUALITIES[1] + 1)))
            result = damaged(_part(image, int(SIDE / chain.shrink)), chain, random)
            found = diagnose(result.levels / 127.5 - 1, luma_table=result.table)
            own = chain.noise in ("white", "shot") and not chain.grey
            channel = result.luma_noise / (LUMA_OF_OWN if own else 1) / 255
            noise.append(_judged(found.noise.sigma if found.noise else None, channel, NEAR_NOISE))
            blur.append(_judged(found.blur, chain.blur, NEAR_BLUR))
        yield f"| {name} | {_shares(noise)} | {_shares(blur)} |"
        noises += noise
        blurs += blur
    yield f"| **all** | {_shares(noises)} | {_shares(blurs)} |"


def kind_table(images: Sequence[Tensor]) -> Iterable[str]:
    """Yield the kinds told of photographs and of drawn pictures."""
    yield "| pictures | photograph | text | graphics | flat |\n|---|---|---|---|---|"
    random = np.random.default_rng(0)
    for quality in (None, 90, 75, 50):
        found = list[Diagnosis]()
        for image in images:
            for side in (64, 128, 256):
                levels = _part(image, side)
                found.append(_of(levels, quality))
        yield _kinds(f"photographs, {_said(quality)}", found)
    drawn: tuple[Kind, ...] = ("text", "graphics", "flat")
    for kind in drawn:
        for quality in (None, 95, 75, 60):
            found = []
            for n in range(60):
                size = (int(random.integers(64, 321)), int(random.integers(64, 321)))
                maker = MAKERS[kind][n % len(MAKERS[kind])]
                picture = maker(size, random, image_of(images[n % len(images)]))
                found.append(_of(levels_of(picture), quality))
            yield _kinds(f"{kind}, {_said(quality)}", found)


def _part(image: Tensor, side: int) -> Tensor:
    """Return the middle of a photograph at half its size, where little of its own noise is left."""
    half = functional.avg_pool2d(image[None], 2)[0].round()
    height, width = (min(side, length) for length in half.shape[1:])
    top, left = (half.shape[1] - height) // 2, (half.shape[2] - width) // 2
    return half[:, top : top + height, left : left + width]


def _of(levels: Tensor, quality: int | None) -> Diagnosis:
    table = None
    if quality is not None:
        levels, table = compressed(levels, quality, halved=True)
    return diagnose(levels / 127.5 - 1, luma_table=table)


def _judged(found: Estimate | None, truth: float, near: tuple[float, float]) -> list[bool]:
    """Return if an estimate is told, holds the truth in its interval, and is near enough to be of use."""
    if found is None:
        return [False, False, False]
    error = abs(found.value - truth)
    return [True, found.low <= truth <= found.high, error <= near[0] or error <= near[1] * truth]


def _shares(judged: Sequence[Sequence[bool]]) -> str:
    """Return the share told of all images, inside of those told, and useful of all images."""
    told, inside, useful = (sum(each) for each in zip(*judged, strict=True))
    return f"{told / len(judged):.0%} | {inside / max(told, 1):.0%} | {useful / len(judged):.0%}"


def _said(quality: int | None) -> str:
    return "lossless" if quality is None else f"JPEG {quality}"


def _kinds(name: str, found: Sequence[Diagnosis]) -> str:
    shares = (
        sum(each.kind == kind for each in found) / len(found) for kind in ("photograph", "text", "graphics", "flat")
    )
    return f"| {name} | {' | '.join(f'{share:.0%}' for share in shares)} |"
