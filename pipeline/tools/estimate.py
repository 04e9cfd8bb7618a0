"""Estimates of the damage in an archive's images, and mask proposals written elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from deqir.estimation import (
    DamageProposal,
    Diagnosis,
    Estimate,
    JpegEstimate,
    NoiseEstimate,
    UpscalingEstimate,
    diagnose,
    propose_damage,
)
from pipeline.config import OutputFormat
from pipeline.errors import UNREADABLE
from pipeline.images.codec import Picture, encode
from pipeline.images.metadata import Metadata
from pipeline.images.quantisation import luma_table
from pipeline.places import canonical_place, refuse_overlap
from pipeline.store import Store, open_store

from .degrade import limits_of, png_names, read_good, stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """Estimates of an image's damage; None if they are unknown.

    Attributes:
        key: Its key in the source.
        error: The reason why nothing was estimated or its mask was not written; None if all went well.
        width, height: Pixels.
        kind: "photograph", "text" (with line art and halftones), "graphics" or "flat".
        tone: "grey", "tint" or "colour".
        noise: As a standard deviation of images in [0, 1].
        blur: Standard deviation of a Gaussian, in pixels.
        upscaling: The scale of its enlargement.
        jpeg: Its earlier JPEG compression.
        damage: Share of the pixels marked by the mask proposal.
    """

    key: str
    error: str | None = None
    width: int | None = None
    height: int | None = None
    kind: str | None = None
    tone: str | None = None
    noise: NoiseEstimate | None = None
    blur: Estimate | None = None
    upscaling: UpscalingEstimate | None = None
    jpeg: JpegEstimate | None = None
    damage: float | None = None


def estimate(source: str, *, masks: str | None = None, max_pixels: int | None = None) -> Iterator[Estimated]:
    """Yield the estimates of every image below a source, in the order of their keys.

    Args:
        source: A folder or s3://bucket/prefix; never written to.
        masks: Where mask proposals go, white where there may be damage, as PNG under the images' keys: a folder or
            s3://bucket/prefix apart from the source. Nothing is overwritten. None: nowhere.
        max_pixels: Larger images have an error; None: as for a job.

    Raises:
        ConfigurationError: A place cannot be used, or there is no image.
    """
    limits, source = limits_of(max_pixels), canonical_place(source)
    outputs = None
    if masks is not None:
        masks = canonical_place(masks)
        refuse_overlap("source", source, masks)
    inputs = open_store(source, writable=False)
    names = png_names(inputs)
    if masks is not None:
        outputs = open_store(masks, writable=True)
    for key, name in names.items():
        try:
            data, picture = read_good(inputs, key, name, limits)
        except UNREADABLE as error:
            yield Estimated(key=key, error=f"{type(error).__name__}: {error}")
            continue
        proposal = propose_damage(picture.pixels)
        unwritten = None if outputs is None else write_mask(outputs, name, picture.pixels, proposal)
        found = diagnose(picture.pixels, luma_table=luma_table(data))
        yield estimated(key, picture.pixels, found, proposal, error=unwritten)


def estimated(
    key: str, pixels: Tensor, found: Diagnosis, proposal: DamageProposal | None, *, error: str | None
) -> Estimated:
    """Return the estimates of an image, shape (c, h, w)."""
    return Estimated(
        key=key,
        error=error,
        height=pixels.shape[1],
        width=pixels.shape[2],
        kind=found.kind,
        tone=found.tone,
        noise=found.noise,
        blur=found.blur,
        upscaling=found.upscaling,
        jpeg=found.jpeg,
        damage=proposal.share if proposal else None,
    )


def write_mask(store: Store, key: str, pixels: Tensor, proposal: DamageProposal | None) -> str | None:
    """Write the mask proposal of an image, black where there is none, as each image of a job needs its mask.

    Returns:
        Why it was not written, where it failed.
    """
    marked = torch.zeros(pixels.shape[1:], dtype=torch.bool) if proposal is None else proposal.mask
    image = marked[None].float() * 2 - 1
    like = Picture(pixels=image, mode="L", bit_depth=8, metadata=Metadata())
    data = encode(image, like=like, output_format=OutputFormat.PNG, quality=100, provenance="mask proposal")
    return stored(store, key, data)
