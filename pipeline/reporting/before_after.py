"""A few images before and after, small enough for a page, read back from the stores."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor
from torch.nn import functional

from pipeline.config import OutputFormat, RestoreJob
from pipeline.errors import ImageError, JobError
from pipeline.images.codec import Picture, decode, encode
from pipeline.images.metadata import Metadata
from pipeline.manifest.brief import Brief
from pipeline.store import Store, open_store

SIDE: Final = 256
BLOCK: Final = 16
MOST_PIXELS: Final = 16_000_000
MOST_BYTES: Final = 64 * 2**20
LARGEST_PROFILE: Final = 4096
QUALITY: Final = 85

logger = logging.getLogger("deqir.report")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """The most changed part of an image at full resolution, before and after, and the image's source key.

    Both parts are JPEG files of the same size; the smaller picture is enlarged smoothly.
    """

    key: str
    before: bytes
    after: bytes


def exhibits(job: RestoreJob, restored: Sequence[Brief], *, count: int) -> tuple[Exhibit, ...]:
    """Return some of a job's restored images, evenly out of them by their keys.

    An unreadable image is left out: a page is no reason for a job to fail.
    """
    if not restored:
        return ()
    try:
        source, destination = (open_store(url, writable=False) for url in (job.source, job.destination))
        rows = sorted(restored, key=lambda row: row.source_key)
        some = [rows[len(rows) * place // count] for place in range(count)]
        return tuple(_shown(source, destination, {row.source_key: row for row in some}.values()))
    except (JobError, OSError) as error:
        logger.warning("no pictures for the summary error=%s: %s", type(error).__name__, error)
        return ()


def is_quick(row: Brief) -> bool:
    """True if an image can be shown quickly."""
    return (row.width or 0) * (row.height or 0) <= MOST_PIXELS


def _shown(source: Store, destination: Store, rows: Iterable[Brief]) -> Iterator[Exhibit]:
    for row in rows:
        try:
            before = decode(source.get(row.source_key, limit=MOST_BYTES).data, max_pixels=MOST_PIXELS)
            after = decode(_output(destination, str(row.output_key)), max_pixels=MOST_PIXELS)
            yield _exhibit(row.source_key, before, after)
        except (FileNotFoundError, ImageError) as error:
            logger.warning("image not shown key=%r error=%s: %s", row.source_key, type(error).__name__, error)


def _output(destination: Store, key: str) -> bytes:
    try:
        return destination.get(key, limit=MOST_BYTES).data
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{destination.url}/{key} is gone; deqir retry {destination.url} makes it again"
        ) from error


def _exhibit(key: str, before: Picture, after: Picture) -> Exhibit:
    one, other = _colour(before), _colour(after)
    if one.shape != other.shape:
        one = functional.interpolate(one[None], other.shape[-2:], mode="bicubic", align_corners=False)[0].clamp(-1, 1)
    top, left = _busiest((one - other).abs().mean(0))
    part = (slice(None), slice(top, top + SIDE), slice(left, left + SIDE))
    return Exhibit(key=key, before=_jpeg(one[part], before), after=_jpeg(other[part], after))


def _colour(picture: Picture) -> Tensor:
    return picture.pixels.expand(3, -1, -1)


def _busiest(change: Tensor) -> tuple[int, int]:
    """Return top and left of the most changed square."""
    height, width = change.shape
    blocks = functional.avg_pool2d(change[None, None], (min(BLOCK, height), min(BLOCK, width)), ceil_mode=True)
    window = [min(SIDE // BLOCK, side) for side in blocks.shape[-2:]]
    means = functional.avg_pool2d(blocks, window, stride=1)[0, 0]
    top, left = divmod(int(means.argmax()), means.shape[1])
    return max(0, min(top * BLOCK, height - SIDE)), max(0, min(left * BLOCK, width - SIDE))


def _jpeg(part: Tensor, like: Picture) -> bytes:
    icc = like.metadata.icc if len(like.metadata.icc or b"") <= LARGEST_PROFILE else None
    plain = Picture(pixels=part, mode="RGB", bit_depth=8, metadata=Metadata(icc=icc))
    return encode(part, like=plain, output_format=OutputFormat.JPEG, quality=QUALITY, provenance="preview")
