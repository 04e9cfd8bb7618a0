"""Good images made into a test archive: y = A x in 8 bits, under the keys that their restoration mirrors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deqir.operators import Colorization, SuperResolution
from deqir.protocols import LinearOperator

from .config import Degradation, OutputFormat, RuntimeConfig
from .degradations import make_operator, read_mask
from .errors import ConfigurationError, ImageError
from .images import Picture, decode, encode
from .keys import EXTENSIONS, INTERNAL, check_key, check_output_key, has_image_name, output_keys
from .places import place, refuse_overlap
from .store import Store, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """What became of one good image.

    Attributes:
        key: Its key in the source.
        error: Why it was not degraded; None if it was.
    """

    key: str
    error: str | None = None


def degrade(source: str, destination: str, degradation: Degradation) -> Iterator[Degraded]:
    """Degrade every image below a source into PNG files below a destination, and yield each as it is done.

    Sides that the degradation cannot divide lose their last rows and columns; a job that measures against the
    source crops in the same way. Nothing is overwritten: an image whose key is taken has an error.

    Raises:
        ConfigurationError: A place or the mask cannot be used, or there is no image.
    """
    limits = RuntimeConfig()
    source, destination = place(source), place(destination)
    refuse_overlap("source", source, destination)
    mask = read_mask(degradation, limit=limits.max_bytes)
    inputs = open_store(source, writable=False)
    keys = [info.key for info in inputs.list() if has_image_name(info.key) and not info.key.startswith(INTERNAL)]
    if not keys:
        raise ConfigurationError(f"{source} holds no image (.jpg, .png or .webp)")
    outputs = open_store(destination, writable=True)
    operator = make_operator(degradation, mask)
    names = output_keys(keys, extension=EXTENSIONS[OutputFormat.PNG], taken=())
    for key in sorted(keys):
        try:
            check_key(key)
            check_output_key(names[key])
            picture = decode(inputs.get(key, limit=limits.max_bytes), max_pixels=limits.max_pixels)
            data = degraded(picture, operator)
        except (ImageError, FileNotFoundError) as error:
            yield Degraded(key=key, error=f"{type(error).__name__}: {error}")
            continue
        yield Degraded(key=key, error=stored(outputs, names[key], data))


def degraded(picture: Picture, operator: LinearOperator) -> bytes:
    """Return A x of a picture as a PNG file.

    Raises:
        ImageError: The degradation does not fit this image.
    """
    x = picture.pixels[None]
    if isinstance(operator, Colorization):
        x = x.expand(-1, 3, -1, -1)
    if isinstance(operator, SuperResolution):
        height, width = (side - side % operator.scale for side in x.shape[-2:])
        x = x[..., :height, :width]
    if not x.numel():
        raise ImageError(f"its sides {tuple(picture.pixels.shape[-2:])} are shorter than the scale")
    try:
        y = operator(x)
    except ValueError as error:
        raise ImageError(str(error)) from error
    return encode(y[0], like=picture, output_format=OutputFormat.PNG, quality=100, provenance="degraded")


def stored(store: Store, key: str, data: bytes) -> str | None:
    """Write an object; returns why it was not written, if something else has its key."""
    if store.create(key, data):
        return None
    return f"{store.url}/{key} exists already and was left alone"
