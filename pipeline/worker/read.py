"""An image's first half: from the source store to a checked observation in memory."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from deqir.estimation import Misfit, Tone
from pipeline.config import RuntimeConfig
from pipeline.errors import (
    ImageTooLargeError,
    ObjectAccessError,
    OperatorMismatchError,
    SourceChangedError,
    UnreadableError,
)
from pipeline.images.codec import Picture
from pipeline.inputs.job_operator import Observed, Undoing
from pipeline.inputs.side_files import Companion
from pipeline.inputs.treatment import Stage
from pipeline.manifest.schema import ManifestRow
from pipeline.shards import ImageRef
from pipeline.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An image ready to be restored.

    Attributes:
        ref: The image's entry in the plan.
        row: The image's row as far as it is known.
        picture: The decoded file; its metadata go into the output.
        y: The observation, shape (c, h, w), in [-1, 1].
        stages: Its restorations, one after the other; a told task has one.
        misfit: Distance of y from pictures made by the degradation; None: not told.
        guide: Image for the restoration to start from or to be close to, shape (3, H, W), if any.
        tone: Tone to give back to the result, if any.
    """

    ref: ImageRef
    row: ManifestRow
    picture: Picture
    y: Tensor
    stages: tuple[Stage, ...]
    misfit: Misfit | None = None
    guide: Tensor | None = None
    tone: Tone | None = None


def fetch(source: Store, ref: ImageRef, limits: RuntimeConfig) -> bytes:
    """Return the bytes of the planned version of an object.

    Raises:
        SourceChangedError: It is gone, or another version is there.
        UnreadableError: The store refuses this object.
        ImageTooLargeError: More bytes than `limits` allows.
    """
    try:
        found = source.get(ref.key, limit=limits.max_bytes)
    except FileNotFoundError as error:
        raise SourceChangedError(
            f"{ref.key} was listed with {ref.size} bytes but is gone; list it again by running the job again"
        ) from error
    except ObjectAccessError as error:
        raise UnreadableError(str(error)) from error
    if (len(found.data), found.info.etag) != (ref.size, ref.etag):
        raise SourceChangedError(
            f"{ref.key} was listed with {ref.size} bytes (version {ref.etag}) but changed since: {len(found.data)} "
            f"bytes (version {found.info.etag}); running the job again restores the new version"
        )
    return found.data


def observe(picture: Picture, undoing: Undoing, mask: Companion | None, limits: RuntimeConfig) -> Observed:
    """Return a picture as its restoration takes it.

    Raises:
        MaskError: Its mask cannot be used.
        OperatorMismatchError: The operator does not fit this image's shape, or its noise cannot be estimated.
        InColourError, UncertainError: Nothing to restore was found.
        ImageTooLargeError: The restored image would have more pixels than `limits` allows.
    """
    try:
        seen = undoing.observed(picture.pixels, mask)
        _, height, width = seen.operator.image_shape(tuple(seen.y.shape))
    except ValueError as error:
        raise OperatorMismatchError(str(error)) from error
    check_pixels(height, width, limits)
    return seen


def check_pixels(height: int, width: int, limits: RuntimeConfig) -> None:
    """Raise ImageTooLargeError if the restored image would have more pixels than `limits` allows."""
    if height * width > limits.max_pixels:
        raise ImageTooLargeError(
            f"the restored image would have {width} x {height} pixels, but `max_pixels` is "
            f"{limits.max_pixels}; raise it if the memory allows"
        )
