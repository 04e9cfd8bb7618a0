"""The plan of a job, written once: every version of every input, with its shard and its output's key.

The plan is a series of Parquet files, its generations. The first holds the inputs of the source when the job
began, each further generation the inputs added or changed since. A generation never changes, so all runs
and workers agree on the shards.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from typing import Final

from pipeline.config import OutputFormat
from pipeline.errors import ConfigurationError, StoreUnavailableError, UnsafeKeyError
from pipeline.keys import (
    EXTENSIONS,
    INTERNAL,
    Layout,
    check_key,
    check_output_key,
    escaped,
    has_image_name,
    is_resource_fork,
    output_keys,
)
from pipeline.manifest.parquet import Table
from pipeline.shards import ImageRef, Shard
from pipeline.store import ObjectInfo, Store
from pipeline.threads import map_on_threads

MAX_PLAN_BYTES: Final = 2**34
ASKED_AT_ONCE: Final = 16

logger = logging.getLogger("deqir.plan")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One version of one input.

    Attributes:
        shard: Id of its shard; rows of one shard follow one another.
        key, etag, size, output_key, refusal, refusal_type: As in `ImageRef`.
    """

    shard: str
    key: str
    etag: str
    size: int
    output_key: str | None
    refusal: str | None
    refusal_type: str


GENERATIONS: Final = Table(PlanRow, "plan", version=1)


def plan(
    source: Store,
    destination: Store,
    layout: Layout,
    *,
    shard_size: int,
    output_format: OutputFormat,
    keys: Iterable[str] | None = None,
) -> tuple[Shard, ...]:
    """Return all shards of a job, or only shards with some keys, after planning new inputs of its source.

    Objects with an image's name are to be restored. All others, and objects whose keys are not safe to mirror,
    are planned with the reason for the refusal, so they get their rows. Objects below `.deqir/` in a source are
    records of a job and no inputs.

    A version is new if no generation has its key with its etag. A new version of an input gets an output of its own,
    beside the output of the old version.

    Args:
        source: The inputs.
        destination: Where the plan is.
        layout: The job's keys.
        shard_size: Images in a new shard.
        output_format: Decides the outputs' extension.
        keys: Different keys to look up in the source instead of a listing; a missing key is
            no input. None: everything in the source.

    Raises:
        ConfigurationError: A stored generation cannot be read.
    """
    listed = _inputs(source.list() if keys is None else _heads(source, keys))
    shards: list[Shard] = []
    for generation in count():
        key = layout.plan(generation)
        stored = _read(destination, key)
        if stored is None:
            new = _further(listed, shards, shard_size, output_format)
            if not new:
                break
            if destination.create(key, GENERATIONS.encode([row for shard in new for row in _rows(shard)])):
                _tell(layout.job_id, generation, new)
                stored = new
            else:
                stored = _read(destination, key)  # another run was faster; what it lacks comes next
        if stored is None:
            raise StoreUnavailableError(
                f"{destination.url}/{key} is said to be there and not to be there; run the job again later"
            )
        shards += stored
    if keys is None:
        return tuple(shards)
    wanted = {(escaped(info.key), info.etag) for info in listed}
    return tuple(shard for shard in shards if any((ref.key, ref.etag) in wanted for ref in shard.images))


def plan_unwritten(
    source: Store, known: Sequence[Shard], *, shard_size: int, output_format: OutputFormat
) -> tuple[Shard, ...]:
    """Return all shards of a job as `plan` would, without writing anything.

    Args:
        source, shard_size, output_format: As for `plan`.
        known: The shards of its plan as it is written.
    """
    return (*known, *_further(_inputs(source.list()), known, shard_size, output_format))


def _inputs(found: Iterable[ObjectInfo]) -> list[ObjectInfo]:
    """Return the inputs among listed objects: all but the records of jobs."""
    listed = {info.key: info for info in found if not info.key.startswith(INTERNAL)}
    return list(listed.values())


def _further(
    listed: Iterable[ObjectInfo], known: Sequence[Shard], shard_size: int, output_format: OutputFormat
) -> list[Shard]:
    """Return shards of the new inputs of a source."""
    return _shards(_new(listed, known), _given(known), shard_size, EXTENSIONS[output_format])


def _heads(source: Store, keys: Iterable[str]) -> Iterator[ObjectInfo]:
    """Yield the info of each key that the source has."""
    found = map_on_threads(ASKED_AT_ONCE, "head", source.head, keys)
    return (info for info in found if info is not None)


def stored_plan(destination: Store, layout: Layout) -> tuple[Shard, ...]:
    """Return the shards of a job's plan as it is written, whatever is new in the source.

    Raises:
        ConfigurationError: A stored generation cannot be read.
    """
    shards = list[Shard]()
    for generation in count():
        stored = _read(destination, layout.plan(generation))
        if stored is None:
            break
        shards += stored
    return tuple(shards)


def create_plan(destination: Store, layout: Layout, refs: Sequence[ImageRef], *, shard_size: int) -> None:
    """Write the only generation of a retry's plan, from inputs of another plan; an existing plan stays."""
    shards = _cut(refs, shard_size)
    if destination.create(layout.plan(0), GENERATIONS.encode([row for shard in shards for row in _rows(shard)])):
        _tell(layout.job_id, 0, shards)


def uncommitted(destination: Store, layout: Layout, shards: Iterable[Shard]) -> tuple[Shard, ...]:
    """Return the shards of a job without a manifest part."""
    parts = {info.key for info in destination.list(layout.parts)}
    return tuple(shard for shard in shards if layout.part(shard.id) not in parts)


def _read(destination: Store, key: str) -> list[Shard] | None:
    """Return the shards of a generation; None if it does not exist."""
    try:
        rows = GENERATIONS.decode(destination.get(key, limit=MAX_PLAN_BYTES).data)
    except FileNotFoundError:
        return None
    except ConfigurationError as error:
        raise ConfigurationError(f"{destination.url}/{key} is {error}") from error
    return [Shard(tuple(map(_ref_of, group))) for _, group in groupby(rows, key=lambda row: row.shard)]


def _ref_of(row: PlanRow) -> ImageRef:
    return ImageRef(
        key=row.key,
        etag=row.etag,
        size=row.size,
        output_key=row.output_key,
        refusal=row.refusal,
        refusal_type=row.refusal_type,
    )


def _rows(shard: Shard) -> list[PlanRow]:
    shard_id = shard.id
    return [
        PlanRow(
            shard=shard_id,
            key=ref.key,
            etag=ref.etag,
            size=ref.size,
            output_key=ref.output_key,
            refusal=ref.refusal,
            refusal_type=ref.refusal_type,
        )
        for ref in shard.images
    ]


def _new(listed: Iterable[ObjectInfo], shards: Iterable[Shard]) -> list[ObjectInfo]:
    """Return the versions outside all shards, in order."""
    known = {(ref.key, ref.etag) for shard in shards for ref in shard.images}
    new = (info for info in listed if (escaped(info.key), info.etag) not in known)
    return sorted(new, key=lambda info: info.key)


def _given(shards: Iterable[Shard]) -> set[str]:
    """Return the output keys in use."""
    return {ref.output_key for shard in shards for ref in shard.images if ref.output_key is not None}


def _shards(new: Sequence[ObjectInfo], given: Container[str], shard_size: int, extension: str) -> list[Shard]:
    """Return shards of new versions, in their order."""
    refusals = {info.key: _refusal(info.key) for info in new}
    restorable = (key for key, refusal in refusals.items() if refusal is None)
    outputs = output_keys(restorable, extension=extension, taken=given)
    refs = [_planned(info, refusals[info.key], outputs.get(info.key)) for info in new]
    return _cut(refs, shard_size)


def _cut(refs: Sequence[ImageRef], shard_size: int) -> list[Shard]:
    return [Shard(tuple(refs[at : at + shard_size])) for at in range(0, len(refs), shard_size)]


def _refusal(key: str) -> str | UnsafeKeyError | None:
    """Return why an object is not restored: a reason to skip it or an error; None if it is."""
    if key.endswith("/"):
        return "a folder's marker, not a file"
    if is_resource_fork(key):
        return "a Mac's resource fork, no image"
    if not has_image_name(key):
        return "not an image by its name; images end in .jpg, .jpeg, .jpe, .jfif, .png or .webp"
    try:
        check_key(key)
    except UnsafeKeyError as error:
        return error
    return None


def _planned(info: ObjectInfo, refusal: str | UnsafeKeyError | None, output_key: str | None) -> ImageRef:
    """Return a version with its output key or its refusal."""
    if output_key is not None:
        try:
            check_output_key(output_key)
        except UnsafeKeyError as error:
            refusal, output_key = error, None
    return ImageRef(
        key=escaped(info.key),
        etag=info.etag,
        size=info.size,
        output_key=output_key,
        refusal=None if refusal is None else str(refusal),
        refusal_type=type(refusal).__name__ if isinstance(refusal, UnsafeKeyError) else "",
    )


def _tell(job_id: str, generation: int, shards: Sequence[Shard]) -> None:
    refs = [ref for shard in shards for ref in shard.images]
    logger.info(
        "plan written job=%s generation=%d inputs=%d refused=%d shards=%d",
        job_id,
        generation,
        len(refs),
        sum(ref.refusal is not None for ref in refs),
        len(shards),
    )
