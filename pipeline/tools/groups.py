"""Images of an archive that were degraded alike, and the command that restores each group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from .estimate import Estimated

QUALITIES: Final = (30, 45, 60, 75, 85, 95)
"""Highest JPEG quality of each class but the last."""
GOOD_QUALITY: Final = 85
"""Highest JPEG quality whose traces are worth undoing."""
NOISES: Final = (2.0, 4.5, 8.0, 13.0, 20.0)
"""Upper bound of each class of noise but the last, in levels; nothing is undone below the first."""
BLURS: Final = (0.6, 1.3, 2.2)
"""Upper bound of each class of blur but the last, in pixels; nothing is undone below the first."""
CERTAIN_NOISE, CERTAIN_BLUR = 0.7, 0.2
"""Lower ends of the intervals, in levels and pixels, above which noise and blur are there."""
SLIGHTLY, BLURRED, BADLY = "a little blurred", "blurred", "badly blurred"
ALONE: Final = {
    "text": ("text, line art or halftones", "left alone: no photographs"),
    "graphics": ("graphics, screenshots or pixel art", "left alone: no photographs"),
    "flat": ("flat pictures", "left alone: nothing to restore"),
}


TONES: Final = {"tint": "toned"}


@dataclass(frozen=True, slots=True)
class Signature:
    """Classes of an image's damages: equal for images that the same command restores."""

    kind: str = "photograph"
    tone: str = "colour"
    quality: int | None = None
    noise: int = 0
    grainy: bool = False
    blur: int = 0
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Images degraded alike.

    Attributes:
        keys: Their keys, in order.
        text: A description after the number of images: "colour photographs, JPEGs of quality 61 to 75".
        command: A command with SRC and DST to fill in; None if there is nothing to restore.
        advice: A sentence beside the command, or instead of it.
    """

    keys: tuple[str, ...]
    text: str
    command: str | None
    advice: str | None = None


def grouped(images: Iterable[Estimated]) -> list[Group]:
    """Return the groups of the images without an error, the largest first."""
    members = dict[Signature, list[Estimated]]()
    for image in images:
        if image.error is None:
            members.setdefault(signature(image), []).append(image)
    groups = [_group(each, some) for each, some in members.items()]
    return sorted(groups, key=lambda group: (-len(group.keys), group.keys))


def signature(image: Estimated) -> Signature:
    """Return the classes of an image's damages."""
    if image.kind is not None and image.kind in ALONE:
        return Signature(kind=image.kind, tone="")
    sure = image.noise is not None and 255 * image.noise.sigma.low > CERTAIN_NOISE
    noise = _class(255 * image.noise.sigma.value, NOISES) if image.noise and sure else 0
    return Signature(
        tone=image.tone or "colour",
        quality=None if image.jpeg is None else _class(image.jpeg.quality, QUALITIES),
        noise=noise,
        grainy=bool(noise and image.noise and image.noise.is_grain),
        blur=_class(image.blur.value, BLURS) if image.blur and image.blur.low > CERTAIN_BLUR else 0,
        scale=image.upscaling.scale if image.upscaling else 1.0,
    )


def _class(value: float, bounds: Sequence[float]) -> int:
    return sum(value > bound for bound in bounds)


def _group(signature: Signature, images: Sequence[Estimated]) -> Group:
    keys = tuple(image.key for image in images)
    if signature.kind in ALONE:
        text, reason = ALONE[signature.kind]
        return Group(keys=keys, text=text, command=None, advice=reason)
    noise, blur = _noise_of(images), _blur_of(images)
    parts = [f"{TONES.get(signature.tone, signature.tone)} photographs", *_jpeg_text(images)]
    parts += [f"enlarged by {signature.scale:g}"] if signature.scale > 1 else []
    parts += [f"{(SLIGHTLY, BLURRED, BADLY)[signature.blur - 1]} (about {blur:.1f} pixels)"] if signature.blur else []
    parts += [f"{'grain' if signature.grainy else 'noise'} of about {noise:.0f} of 255"] if signature.noise else []
    command, advice = _treatment(signature, noise=noise, blur=blur)
    return Group(keys=keys, text=", ".join(parts), command=command, advice=advice)


def _treatment(signature: Signature, *, noise: float, blur: float) -> tuple[str | None, str | None]:
    """Return the command that undoes the damages, and an advice."""
    told = f" --noise {max(noise, 1.0) / 255:.3f}"
    if signature.scale > 1:
        scale = max(2, round(signature.scale))
        return (
            f"deqir restore SRC DST --task sr --scale {scale}",
            f"first shrink the images by {signature.scale:g}, which takes nothing away from them",
        )
    if signature.blur:
        return f"deqir restore SRC DST --task deblur --width {blur:.1f}{told}", None
    if signature.noise:
        return f"deqir restore SRC DST --task denoise{told}", None
    if signature.quality is not None and signature.quality <= _class(GOOD_QUALITY, QUALITIES):
        return "deqir restore SRC DST --task jpeg", None
    return None, "nothing to restore was found"


def _jpeg_text(images: Sequence[Estimated]) -> list[str]:
    qualities = [image.jpeg.quality for image in images if image.jpeg]
    if not qualities:
        return []
    least, most = min(qualities), max(qualities)
    return [f"JPEGs of quality {least}" if least == most else f"JPEGs of quality {least} to {most}"]


def _noise_of(images: Sequence[Estimated]) -> float:
    """Return the noise to tell, in levels: too much costs detail, too little ruins the image."""
    found = [255 * image.noise.sigma.value for image in images if image.noise]
    return math.ceil(median(found)) if found else 0.0


def _blur_of(images: Sequence[Estimated]) -> float:
    """Return the width to tell, in pixels: too wide ruins an image, too narrow leaves some blur."""
    found = [image.blur.value for image in images if image.blur]
    return median(found) if found else 0.0
