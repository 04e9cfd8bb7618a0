"""Good images made into a test archive: y = A x in 8 bits, under the keys of their restoration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from deqir import image_seed
from pipeline.config import OutputFormat, RuntimeConfig
from pipeline.degradation import Degradation
from pipeline.errors import UNREADABLE, ConfigurationError, ImageError
from pipeline.images.codec import Picture, decode, encode
from pipeline.inputs.frame import scene_of
from pipeline.inputs.job_operator import Undoing, open_undoing
from pipeline.inputs.make_operator import is_grey, read_file
from pipeline.keys import EXTENSIONS, INTERNAL, check_key, check_output_key, has_image_name, output_keys
from pipeline.places import canonical_place, refuse_overlap
from pipeline.store import Store, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """The end of a good image: its key in the source, and the reason why it was not degraded; None if it was."""

    key: str
    error: str | None = None


def degrade(
    source: str,
    destination: str,
    degradation: Degradation,
    *,
    noise: float = 0.0,
    max_pixels: int | None = None,
) -> Iterator[Degraded]:
    """Degrade every image below a source into PNG files below a destination, and yield each as it is done.

    Sides not divisible by the scale lose their last rows and columns; a job with the source as its
    reference crops in the same way. A blur mixes in a scene beyond an image's frame: the image again, as in mirrors
    at its edges. Nothing is overwritten: an image whose key is taken has an error.

    Args:
        source, destination: Folders or s3://bucket/prefix.
        degradation: The degradation of the images.
        noise: Gaussian noise added at the end, as a standard deviation of images in [0, 1]; an image's noise depends
            on its file alone.
        max_pixels: Larger images have an error; None: as for a job.

    Raises:
        ConfigurationError: A place, the mask, the masks or the kernel cannot be used, there is no image, or the width
            of the blur is to be estimated.
    """
    if degradation.width == "auto":
        raise ConfigurationError("`width` auto is for blurred images: to blur images, say by how many pixels")
    limits = limits_of(max_pixels)
    source, destination = canonical_place(source), canonical_place(destination)
    refuse_overlap("source", source, destination)
    file = read_file(degradation, limits=limits)
    inputs = open_store(source, writable=False)
    names = png_names(inputs)
    outputs = open_store(destination, writable=True)
    undoing = open_undoing(degradation, file, noise=0.0, limits=limits)
    for key, name in names.items():
        try:
            original, picture = read_good(inputs, key, name, limits)
            seed = image_seed(0, hashlib.sha256(original).hexdigest())
            data = degraded(picture, undoing, key, noise=noise, seed=seed)
        except UNREADABLE as error:
            yield Degraded(key=key, error=f"{type(error).__name__}: {error}")
            continue
        yield Degraded(key=key, error=stored(outputs, name, data))


def png_names(inputs: Store) -> dict[str, str]:
    """Return the key of a PNG for each image of a store, in the order of the images' own keys.

    Raises:
        ConfigurationError: There is no image.
    """
    keys = sorted(info.key for info in inputs.list() if has_image_name(info.key) and not info.key.startswith(INTERNAL))
    if not keys:
        raise ConfigurationError(f"{inputs.url} holds no image (.jpg, .png or .webp)")
    names = output_keys(keys, extension=EXTENSIONS[OutputFormat.PNG], taken=())
    return {key: names[key] for key in keys}


def limits_of(max_pixels: int | None) -> RuntimeConfig:
    """Return a job's limits, but for the pixels of an image where they are given."""
    return RuntimeConfig() if max_pixels is None else RuntimeConfig(max_pixels=max_pixels)


def read_good(inputs: Store, key: str, name: str, limits: RuntimeConfig) -> tuple[bytes, Picture]:
    """Return an image's file and its picture, after a check that `name` can be written.

    Raises:
        FileNotFoundError, ImageError, ObjectAccessError: This image cannot be used (`UNREADABLE`).
    """
    check_key(key)
    check_output_key(name)
    data = inputs.get(key, limit=limits.max_bytes).data
    return data, decode(data, max_pixels=limits.max_pixels)


def degraded(picture: Picture, undoing: Undoing, key: str, *, noise: float, seed: int) -> bytes:
    """Return A x of a picture, and noise, as a PNG file.

    Raises:
        ImageError: The degradation does not fit this image.
    """
    x, scale = picture.pixels[None], undoing.degradation.scale
    if is_grey(undoing.degradation):
        x = x.expand(-1, 3, -1, -1)
    height, width = x.shape[-2:]
    x = x[..., : height - height % scale, : width - width % scale]
    if not x.numel():
        raise ImageError(f"{width} x {height} pixels are fewer than the scale on a side")
    try:
        operator = undoing.of(undoing.mask_of(key))
        y = operator(scene_of(x, operator))[0]
    except ValueError as error:
        raise ImageError(str(error)) from error
    if noise:
        y = y + 2 * noise * torch.randn(y.shape, generator=torch.Generator().manual_seed(seed))
    return encode(y, like=picture, output_format=OutputFormat.PNG, quality=100, provenance="degraded")


def stored(store: Store, key: str, data: bytes) -> str | None:
    """Write an object; returns why it was not written, if something else has its key."""
    if store.create(key, data):
        return None
    return f"{store.url}/{key} exists already and was left alone"
