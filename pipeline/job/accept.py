"""Delivery of images that were set aside, once somebody accepts them.

Nothing is overwritten and rows stay as they are: the output is created from the restoration kept apart, and a record
says who accepted it and when. Outputs come first, then their record, so an acceptance that died is repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from pipeline.errors import ImageError, ImageTooLargeError, ObjectAccessError
from pipeline.keys import Layout
from pipeline.manifest.accepted import AcceptedRow, accepted_versions, record_accepted
from pipeline.manifest.schema import ENDS, read_columns
from pipeline.planning.plan import stored_plan
from pipeline.planning.retry import base_of, tries_of
from pipeline.shards import Version
from pipeline.status import Status
from pipeline.store import Store, open_store
from pipeline.threads import map_on_threads

AT_ONCE: Final = 8
RECORDED_TOGETHER: Final = 256
"""Images in a record: if the process dies, this many are looked at again at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The end of an image: its source key, and the reason why it was not delivered; None if it was."""

    key: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """An image set aside by a job or a retry, as its row says."""

    layout: Layout
    version: Version
    output_key: str
    size: int
    sha256: str

    @property
    def key(self) -> str:
        return self.version[0]


def accept(destination: str, job_id: str, keys: Collection[str] | None, *, by: str) -> Iterator[Delivered]:
    """Deliver images that a job or its retries set aside, and yield the end of each.

    Safe to repeat and to race. An accepted image whose output is gone is delivered again.

    Args:
        destination: Destination of the job.
        job_id: The job, or one of its retries.
        keys: Source keys or output keys; None: all images set aside.
        by: Name of the person who accepts them.

    Raises:
        ConfigurationError: A manifest, the plan or a record cannot be read, or the destination cannot be written to.
        StoreUnavailableError: The store does not answer.
    """
    store = open_store(destination, writable=True)
    waiting = _waiting(store, base_of(job_id))
    if keys is not None:
        by_key = {each.output_key: each for each in waiting} | {each.key: each for each in waiting}
        for key in keys:
            if key not in by_key:
                yield Delivered(key=key, error=f"no image of this name is set aside in job {base_of(job_id)}")
        waiting = list({each.version: each for key, each in by_key.items() if key in set(keys)}.values())
    known = {layout: accepted_versions(store, layout) for layout in {each.layout for each in waiting}}
    for at in range(0, len(waiting), RECORDED_TOGETHER):
        some = waiting[at : at + RECORDED_TOGETHER]
        ends = list(zip(some, map_on_threads(AT_ONCE, "accept", partial(_delivered, store), some), strict=True))
        for layout in known:
            new = [
                each
                for each, end in ends
                if each.layout == layout and end.error is None and each.version not in known[layout]
            ]
            if new:
                record_accepted(store, layout, [_row(each, by) for each in new])
        yield from (end for _, end in ends)


def _waiting(store: Store, base: str) -> list[_Waiting]:
    """Return the images set aside, by key: those whose newest version with a row was set aside in its last try."""
    found = dict[Version, _Waiting]()
    for layout in map(Layout, tries_of(store, base)):
        for key, etag, status, output_key, size, sha256 in read_columns(
            store, layout, (*ENDS, "output_key", "output_size", "output_sha256")
        ):
            found.pop((key, etag), None)
            if status == Status.SET_ASIDE:
                found[key, etag] = _Waiting(
                    layout=layout, version=(key, etag), output_key=output_key, size=size, sha256=sha256
                )
    replaced = _replaced(store, base, {key for key, _ in found}) if found else set()
    return sorted((each for each in found.values() if each.version not in replaced), key=lambda each: each.key)


def _replaced(store: Store, base: str, keys: Collection[str]) -> set[Version]:
    """Return the versions of some inputs of which a newer version has a row."""
    planned = (ref for shard in stored_plan(store, Layout(base)) for ref in shard.images if ref.key in keys)
    versions = dict[str, list[Version]]()
    for ref in planned:  # in the order in which versions were found
        versions.setdefault(ref.key, []).append((ref.key, ref.etag))
    several = {key for key, some in versions.items() if len(some) > 1}
    if not several:
        return set()
    tries = map(Layout, tries_of(store, base))
    ended = {(key, etag) for layout in tries for key, etag, _ in read_columns(store, layout) if key in several}
    found = set[Version]()
    for key in several:
        found.update([version for version in versions[key] if version in ended][:-1])
    return found


def _delivered(store: Store, image: _Waiting) -> Delivered:
    """Create the output of an image, unless it is there."""
    place = image.layout.aside(image.output_key)
    try:
        data = store.get(place, limit=image.size).data
        if hashlib.sha256(data).hexdigest() != image.sha256:
            return Delivered(key=image.key, error=f"{store.url}/{place} was changed since; nothing was delivered")
        if store.create(image.output_key, data) or _is_there(store, image, data):
            return Delivered(key=image.key)
    except FileNotFoundError:
        return Delivered(
            key=image.key, error=f"{store.url}/{place} is gone; restore the image again into another destination"
        )
    except (ImageError, ObjectAccessError) as error:
        return Delivered(key=image.key, error=str(error))
    return Delivered(
        key=image.key,
        error=f"{store.url}/{image.output_key} is taken: it holds something else, which was left alone; "
        f"move it away, or take the restoration from {store.url}/{place}",
    )


def _is_there(store: Store, image: _Waiting, data: bytes) -> bool:
    """True if the output key holds these bytes, as after an acceptance that died or that runs beside this one."""
    try:
        return store.get(image.output_key, limit=image.size).data == data
    except (FileNotFoundError, ImageTooLargeError):
        return False


def _row(image: _Waiting, by: str) -> AcceptedRow:
    key, etag = image.version
    return AcceptedRow(
        source_key=key,
        source_etag=etag,
        output_key=image.output_key,
        output_sha256=image.sha256,
        accepted_by=by,
        accepted_at=datetime.now(UTC),
    )
