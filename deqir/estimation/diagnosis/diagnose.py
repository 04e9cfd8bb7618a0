"""The diagnosis of an image of which nothing is known: its kind, its tone, and its damages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from deqir.estimation.jpeg import JpegEstimate, estimate_jpeg, quantisation
from deqir.estimation.noise import NoiseEstimate
from deqir.estimation.results import Estimate, in_levels
from deqir.estimation.tone import tone_of
from deqir.shapes import Float

from .damages import damages_of
from .kinds import Kind, kind_of
from .upscaling import UpscalingEstimate, estimate_upscaling


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The kind of an image and its damages; None where the image does not tell.

    Attributes:
        kind: "text" also stands for line art, pages of one bit and halftones; "graphics" for pixel art,
            screenshots, charts and pictures of few plain colours; "flat" for plain grounds and gradients.
        tone: "tint" is a single hue, such as sepia.
        jpeg: The quality by the file's table if it was given, else by the pixels.
        noise: Noise of the scene, the sensor or the film. The error of JPEG itself does not count.
        blur: Width of the Gaussian with the variance of the blur, in pixels.
        upscaling: The scale of an enlargement.
    """

    kind: Kind
    tone: Literal["grey", "tint", "colour"]
    jpeg: JpegEstimate | None
    noise: NoiseEstimate | None
    blur: Estimate | None
    upscaling: UpscalingEstimate | None


@torch.no_grad()
def diagnose(image: Float[Tensor, "C H W"], *, luma_table: Tensor | None = None) -> Diagnosis:
    """Return the diagnosis of an image in [-1, 1] (docs/estimation.md has its accuracy).

    Noise and blur are told of photographs alone. Both are read from spectra of the smoothest and the sharpest blocks,
    with JPEG's steps, by small networks that were trained on degraded photographs (training/diagnosis.py).

    Args:
        luma_table: Luma steps of the JPEG file with this image, shape (8, 8), vertical frequency first, if it is one.

    Raises:
        ValueError: The input is not an image, holds nan or inf, or the table has another shape.
    """
    levels = in_levels(image)
    jpeg, table = _jpeg(image, luma_table)
    top, left = jpeg.offset if jpeg else (0, 0)
    aligned = levels[:, top:, left:]
    kind = kind_of(aligned)
    noise, blur = damages_of(aligned, table) if kind == "photograph" else (None, None)
    return Diagnosis(
        kind=kind,
        tone=tone_of(image if len(image) in (1, 3) else image.mean(0, keepdim=True)).kind,
        jpeg=jpeg,
        noise=noise,
        blur=blur,
        upscaling=None if kind == "flat" else estimate_upscaling(image),
    )


def _jpeg(
    image: Float[Tensor, "C H W"], table: Tensor | None
) -> tuple[JpegEstimate | None, Float[Tensor, "8 8"] | None]:
    """Return the JPEG compression of an image, and its steps."""
    if table is None:
        found = estimate_jpeg(image)
        return found, quantisation(found.quality) if found else None
    if table.shape != (8, 8):
        raise ValueError(
            f"`luma_table` has the shape (8, 8), got {tuple(table.shape)}; take the first of a file's tables"
        )
    steps = table.detach().float().cpu().clamp(min=1)
    return JpegEstimate(quality=quality_of(steps), agreement=1.0, offset=(0, 0)), steps


def quality_of(table: Float[Tensor, "8 8"]) -> int:
    """Return the quality, in libjpeg's scale, whose luma steps are nearest to these."""
    steps = table.float().clamp(min=1).log()
    distances = [float((steps - quantisation(quality).log()).abs().mean()) for quality in range(1, 101)]
    return distances.index(min(distances)) + 1
