"""An image's first half: from the source store to a checked observation in memory."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, replace

from torch import Tensor

from deqir.protocols import LinearOperator
from pipeline.errors import (
    ImageTooLargeError,
    ObjectAccessError,
    OperatorMismatchError,
    SourceChangedError,
    UnreadableError,
)
from pipeline.images.codec import Picture, decode
from pipeline.inputs.frame import sides_of
from pipeline.inputs.guides import Guides
from pipeline.inputs.job_operator import Undoing
from pipeline.inputs.side_files import Companion
from pipeline.manifest.schema import ManifestRow
from pipeline.shards import ImageRef
from pipeline.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An image ready to be restored.

    Attributes:
        ref: What the plan says of it.
        row: What is known so far.
        picture: What the file held; its metadata go into the output.
        y: The observation, shape (c, h, w), in [-1, 1].
        operator: What it is an observation through.
        sigma_y: Standard deviation of its noise, images in [-1, 1].
        guide: What its restoration starts from or is to be close to, shape (3, H, W); None: nothing.
    """

    ref: ImageRef
    row: ManifestRow
    picture: Picture
    y: Tensor
    operator: LinearOperator
    sigma_y: float
    guide: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an image may be at most.

    Attributes:
        max_bytes: Bytes of an input file.
        max_pixels: Pixels of a restored image.
    """

    max_bytes: int
    max_pixels: int


def fetch(source: Store, ref: ImageRef, row: ManifestRow, limits: Limits) -> tuple[bytes, ManifestRow]:
    """Return the planned version of an object, and the row with its digest.

    Raises:
        SourceChangedError: It is gone, or is not the version that was planned.
        UnreadableError: The store keeps it from us.
        ImageTooLargeError: More bytes than `limits` allows.
    """
    began = time.perf_counter()
    try:
        data = source.get(ref.key, limit=limits.max_bytes)
    except FileNotFoundError as error:
        raise SourceChangedError(
            f"{ref.key} was listed with {ref.size} bytes but is gone; list it again by running the job again"
        ) from error
    except ObjectAccessError as error:
        raise UnreadableError(str(error)) from error
    now = source.head(ref.key)
    if len(data) != ref.size or now is None or now.etag != ref.etag:
        raise SourceChangedError(
            f"{ref.key} was listed with {ref.size} bytes (version {ref.etag}) but changed since: {len(data)} "
            f"bytes (version {now.etag if now else 'gone'}); running the job again restores the new version"
        )
    digest = hashlib.sha256(data).hexdigest()
    return data, replace(row, source_sha256=digest, fetch_seconds=time.perf_counter() - began)


def read_picture(data: bytes, row: ManifestRow, limits: Limits) -> tuple[Picture, ManifestRow]:
    """Return the decoded image, and the row with its kind.

    Raises:
        ImageError: The bytes are not an image that we read.
    """
    began = time.perf_counter()
    picture = decode(data, max_pixels=limits.max_pixels)
    return picture, replace(
        row,
        image_mode=picture.mode,
        bit_depth=picture.bit_depth,
        decode_seconds=time.perf_counter() - began,
    )


def read_mask(undoing: Undoing, row: ManifestRow) -> tuple[Companion | None, ManifestRow]:
    """Return the file of an image's own mask, if each has its own, and the row with the digest of whatever marks it.

    Raises:
        MaskError: It is to have one, and there is none that can be read.
    """
    mask = undoing.mask_of(row.source_key)
    return mask, replace(row, mask_sha256=undoing.mask_sha256 if mask is None else mask.sha256)


def read_guide(guides: Guides | None, row: ManifestRow) -> tuple[Companion | None, ManifestRow]:
    """Return the file of an image's guide, if the job has guides, and the row with its digest.

    Raises:
        GuideError: There is none that can be read.
    """
    if guides is None:
        return None, row
    guide = guides.files.of(row.source_key)
    return guide, replace(row, guide_sha256=guide.sha256)


def observe(
    picture: Picture, undoing: Undoing, mask: Companion | None, row: ManifestRow, limits: Limits
) -> tuple[Tensor, LinearOperator, ManifestRow]:
    """Return y of a picture, what it is seen through, and the row with the size that its restoration will have.

    Raises:
        MaskError: Its mask cannot be used.
        OperatorMismatchError: The operator does not fit this image's shape.
        ImageTooLargeError: The restored image would have more pixels than `limits` allows.
    """
    operator = undoing.of(mask)
    try:
        y = undoing.observation(picture.pixels, operator)
        height, width = sides_of(y, operator)
        _, *scene = operator.image_shape(tuple(y.shape))
    except ValueError as error:
        raise OperatorMismatchError(str(error)) from error
    if math.prod(scene) > limits.max_pixels:
        raise ImageTooLargeError(
            f"the restored image would have {scene[1]} x {scene[0]} pixels, but `max_pixels` is "
            f"{limits.max_pixels}; raise it if the memory allows"
        )
    return y, operator, replace(row, width=width, height=height)
