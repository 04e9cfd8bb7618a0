"""One row per input image, restored or not, in Parquet parts written once.

`SCHEMA` is made from `ManifestRow`: str is string, int is int64, float is float64, bool is bool, datetime is
timestamp[us, UTC], a list is a list and a dict a map without nulls inside; a column is nullable exactly where
its field may be None. Name and version of the schema are in its metadata, under "deqir" and "version".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from pipeline.errors import ConfigurationError
from pipeline.keys import Layout
from pipeline.store import Store
from pipeline.threads import map_on_threads

from .parquet import Table

READERS: Final = 8
MAX_PART_BYTES: Final = 2**30

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRow:
    """The end of one version of one input.

    docs/manifest.md explains each column, and tells apart the versions of the schema. A field is None where it does not
    apply: each of the input's files is known only once it was read, and most fields only once the image was restored.
    """

    job_id: str
    shard_id: str
    source_key: str
    source_etag: str
    source_size: int
    source_sha256: str | None = None
    mask_sha256: str | None = None
    guide_sha256: str | None = None
    guide: str | None = None
    guide_by: str | None = None
    output_key: str | None = None
    output_size: int | None = None
    output_sha256: str | None = None
    width: int | None = None
    height: int | None = None
    image_mode: str | None = None
    bit_depth: int | None = None
    status: str
    error_type: str | None = None
    error: str | None = None
    doubts: list[str] | None = None
    decisions: list[str] | None = None
    kind: str | None = None
    tone: str | None = None
    jpeg_quality: int | None = None
    blur: float | None = None
    task: str
    operator_parameters: dict[str, str]
    prior: str
    prior_digest: str
    noise: float | None = None
    steps: int
    eta: float
    start_noise: float
    seed: int
    mode: str
    window: int | None = None
    tile: int | None = None
    nfe: int | None = None
    rounds: int | None = None
    converged: bool | None = None
    fallback: bool | None = None
    residual_final: float | None = None
    residual_history: list[float] | None = None
    frontier_history: list[int] | None = None
    useful: float | None = None
    data_consistency: float | None = None
    misfit: float | None = None
    operator_suspect: bool | None = None
    loss_first: float | None = None
    loss_best: float | None = None
    samples: int | None = None
    spread: float | None = None
    psnr: float | None = None
    psnr_given: float | None = None
    psnr_start: float | None = None
    ssim: float | None = None
    fetch_seconds: float | None = None
    decode_seconds: float | None = None
    solve_seconds: float | None = None
    encode_seconds: float | None = None
    put_seconds: float | None = None
    device: str
    dtype: str
    software: dict[str, str]
    started_at: datetime
    finished_at: datetime


PARTS: Final = Table(
    ManifestRow,
    "manifest part",
    version=6,
    since={
        **dict.fromkeys(("mask_sha256", "guide_sha256", "psnr_given"), 4),
        **dict.fromkeys(("guide", "guide_by"), 5),
        **dict.fromkeys(("doubts", "decisions", "kind", "tone", "jpeg_quality", "blur"), 6),
    },
)
SCHEMA: Final = PARTS.schema
ENDS: Final = ("source_key", "source_etag", "status")


def encode_part(rows: Sequence[ManifestRow]) -> bytes:
    """Return rows as Parquet, ordered by key whatever the order of completion.

    Raises:
        TypeError, OverflowError, UnicodeError: A value is not of its column's type, or out of its range.
    """
    return PARTS.encode(sorted(rows, key=lambda row: (row.source_key, row.source_etag)))


def read_columns(store: Store, layout: Layout, names: Sequence[str] = ENDS) -> Iterator[tuple[Any, ...]]:
    """Yield some columns of every row of a job, part by part, in the order of the parts' keys.

    Raises:
        ConfigurationError: A part cannot be read; it is named.
    """
    for rows in map_objects(store, part_keys(store, layout), partial(PARTS.decode_columns, names=names)):
        yield from rows


def part_keys(store: Store, layout: Layout) -> list[str]:
    """Return the keys of a job's parts, in order."""
    return sorted(info.key for info in store.list(layout.parts) if info.key.endswith(".parquet"))


def map_objects(
    store: Store, keys: Iterable[str], decode: Callable[[bytes], T], *, limit: int = MAX_PART_BYTES
) -> Iterator[T]:
    """Yield `decode` of each part or plan, in order; a few are read ahead, and no more are held in memory.

    Raises:
        ConfigurationError: An object cannot be read; it is named.
    """
    return map_on_threads(READERS, "manifest", partial(read_object, store, decode=decode, limit=limit), keys)


def read_object(store: Store, key: str, decode: Callable[[bytes], T], *, limit: int) -> T:
    """Return `decode` of an object; the arguments and errors are those of `map_objects`."""
    try:
        return decode(store.get(key, limit=limit).data)
    except ConfigurationError as error:
        raise ConfigurationError(f"{store.url}/{key} is {error}") from error
