"""From a job's degradation to the operator that knows it, and the mask that one of them needs."""

from __future__ import annotations

from deqir.operators import Colorization, Inpainting, SuperResolution
from deqir.protocols import LinearOperator

from . import config
from .config import Degradation
from .errors import ConfigurationError, ImageError
from .images import decode_mask
from .store import open_store


def make_operator(degradation: Degradation, mask: bytes | None) -> LinearOperator:
    """Return A; `mask` is what `read_mask` gave for the degradation."""
    match degradation:
        case config.SuperResolution(scale=scale):
            return SuperResolution(scale=scale)
        case config.Inpainting():
            return Inpainting(keep=~decode_mask(mask or b""))
        case config.Colorization():
            return Colorization()


def read_mask(degradation: Degradation, *, limit: int) -> bytes | None:
    """Return the bytes of an inpainting mask, after making sure that they are an image; None for other tasks.

    Raises:
        ConfigurationError: There is no mask there, it is not an image or has more than `limit` bytes.
    """
    if not isinstance(degradation, config.Inpainting):
        return None
    folder, _, name = degradation.mask.rpartition("/")
    try:
        data = open_store(folder or ".", writable=False).get(name, limit=limit)
        decode_mask(data)
    except (FileNotFoundError, ImageError, ConfigurationError) as error:
        raise ConfigurationError(f"the mask {degradation.mask} cannot be used: {error}") from error
    return data
