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
from typing import Final, TypeVar

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

    Version 4 added mask_sha256, guide_sha256 and psnr_given, version 5 guide and guide_by; rows of the versions before
    have them as None.

    Attributes:
        job_id, shard_id: The job and the shard of this row.
        source_key, source_etag, source_size, source_sha256: The input; the digest is None if it was not read.
        mask_sha256, guide_sha256: Digests of the image's mask and of its guide, or of the weights of the network for
            guides; None if the job has none, or if the file could not be read.
        guide, guide_by: Place of the job's guides, or name of the network for them, and the measure of closeness to
            them; None if the job has no guides.
        output_key, output_size, output_sha256: The restored object; None unless status is "restored".
        width, height: Pixels of the restored image, after EXIF orientation.
        image_mode, bit_depth: Colour mode ("RGB", "L") and bits a channel of the source.
        status: "restored", "failed", "skipped" (the reason is in `error`) or "conflict" (the output key holds
            another job's or another image's object, which was left alone).
        error_type, error: Class name and message.
        task, operator_parameters: The undone degradation; parameters as text.
        prior, prior_digest: Name and SHA-256 of the network's weights.
        noise: Noise assumed in the source image, as a standard deviation of images in [0, 1]: given, estimated, or
            the task's own; None if it was not read.
        steps, eta, start_noise, seed, mode, window: Sampler settings; `window` is the largest number of states
            solved together, 1 for step by step.
        tile: Side in pixels of the tiles in which the network saw the image, smaller than the setting if
            memory ran out; None if it saw the whole image.
        nfe: Network evaluations of this image, of all its samples, all its tiles together being one.
        rounds: Serial network passes of this image; with samples, this and the following fields describe the first
            sample before it was optimised.
        converged: The solve met its tolerance; always true step by step.
        fallback: The parallel solve ran out of rounds and the image was finished step by step.
        residual_final, residual_history: Largest relative residual over the states, last and per round.
        frontier_history: Leading states known after each round.
        useful: Share of the network evaluations whose step was kept, 0..1; 1 step by step.
        data_consistency: ||A x_0 - y|| / ||y|| before rounding to 8 bits.
        misfit, operator_suspect: Distance of the source image from photographs after the given degradation and noise,
            in parts of the threshold, and True beyond the threshold: then something else was done to this image, and
            its restoration is not to be trusted. None if the image is too small for a judgement.
        loss_first, loss_best: Distance to the guide, or misfit to a noisy y, of the first restoration and of the
            restoration that was kept; None if nothing was optimised.
        samples, spread: Number of restorations of this image, and their spread: the mean over the pixels of their
            standard deviation, images in [0, 1]; None for a single restoration.
        psnr, psnr_given, psnr_start, ssim: Against the reference, in dB and 0..1: of the output; of the source image,
            None if its size differs; and of the chain's start, made without the network (bicubic interpolation for
            super-resolution).
        fetch_seconds, decode_seconds, solve_seconds, encode_seconds, put_seconds: Wall time of each stage; a
            round's solve time is divided among its images.
        device, dtype, software: The machine part, the precision and the versions at work.
        started_at, finished_at: UTC.
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
    version=5,
    since={"mask_sha256": 4, "guide_sha256": 4, "psnr_given": 4, "guide": 5, "guide_by": 5},
)
SCHEMA: Final = PARTS.schema
ENDS: Final = ("source_key", "source_etag", "status")
OUTPUTS: Final = (*ENDS, "output_key", "samples")


def encode_part(rows: Sequence[ManifestRow]) -> bytes:
    """Return rows as Parquet, ordered by key whatever the order of completion.

    Raises:
        TypeError, OverflowError, UnicodeError: A value is not of its column's type, or out of its range.
    """
    return PARTS.encode(sorted(rows, key=lambda row: (row.source_key, row.source_etag)))


def decode_part(data: bytes) -> list[ManifestRow]:
    """Return the rows of a part.

    Raises:
        ConfigurationError: It is damaged, no part, or has an unknown version of the schema.
    """
    return PARTS.decode(data)


def read_rows(store: Store, layout: Layout) -> Iterator[ManifestRow]:
    """Yield every row of a job, part by part, in the order of the parts' keys.

    Raises:
        ConfigurationError: A part cannot be read; it is named.
    """
    return _each_row(store, layout, decode_part)


def read_ends(store: Store, layout: Layout) -> Iterator[tuple[str, str, str]]:
    """Yield source_key, source_etag and status of every row of a job, in the order of `read_rows`.

    Raises:
        ConfigurationError: A part cannot be read; it is named.
    """
    return _each_row(store, layout, partial(PARTS.decode_columns, names=ENDS))


def read_outputs(store: Store, layout: Layout) -> Iterator[tuple[str, str, str, str | None, int | None]]:
    """Yield source_key, source_etag, status, output_key and samples of every row of a job, as `read_ends` does.

    Raises:
        ConfigurationError: A part cannot be read; it is named.
    """
    return _each_row(store, layout, partial(PARTS.decode_columns, names=OUTPUTS))


def part_keys(store: Store, layout: Layout) -> list[str]:
    """Return the keys of a job's parts, in order."""
    return sorted(info.key for info in store.list(layout.parts) if info.key.endswith(".parquet"))


def map_parts(store: Store, keys: Iterable[str], decode: Callable[[bytes], T]) -> Iterator[T]:
    """Yield `decode` of each part, in order; a few parts are read ahead, and no more are held in memory.

    Raises:
        ConfigurationError: A part cannot be read; it is named.
    """
    return map_objects(store, keys, decode, limit=MAX_PART_BYTES)


def map_objects(store: Store, keys: Iterable[str], decode: Callable[[bytes], T], *, limit: int) -> Iterator[T]:
    """Yield `decode` of each of a job's objects, as `map_parts` does; `limit` is their largest size in bytes."""
    return map_on_threads(READERS, "manifest", partial(_read, store, decode, limit), keys)


def _each_row(store: Store, layout: Layout, decode: Callable[[bytes], list[T]]) -> Iterator[T]:
    for rows in map_parts(store, part_keys(store, layout), decode):
        yield from rows


def _read(store: Store, decode: Callable[[bytes], T], limit: int, key: str) -> T:
    try:
        return decode(store.get(key, limit=limit).data)
    except ConfigurationError as error:
        raise ConfigurationError(f"{store.url}/{key} is {error}") from error
