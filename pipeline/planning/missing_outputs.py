"""Outputs in the manifest that are gone from the destination, found by one listing of it."""

from __future__ import annotations

import posixpath
from array import array
from bisect import bisect_left
from collections.abc import Iterable

import numpy as np

from pipeline.keys import Layout
from pipeline.store import Store


class Listing:
    """Keys of a store at the time of a listing, as eight bytes each; a missing key is rarely taken for present."""

    def __init__(self, store: Store) -> None:
        found = np.fromiter((hash(info.key) for info in store.list()), np.int64)
        found.sort()
        self._hashes = array("q", found.tobytes())

    def __contains__(self, key: str) -> bool:
        at = bisect_left(self._hashes, hash(key))
        return at < len(self._hashes) and self._hashes[at] == hash(key)


def written(layout: Layout, output_key: str, samples: int | None) -> tuple[str, ...]:
    """Return the keys of all objects written for an image: its output and, with samples, the objects beside it.

    `layout` is of the job or the retry with the image's row.
    """
    if not samples:
        return (output_key,)
    return (output_key, *layout.samples_of(output_key, samples, extension=posixpath.splitext(output_key)[1]))


def is_gone(store: Store, keys: Iterable[str]) -> bool:
    """True if any of these objects is missing."""
    return any(store.head(key) is None for key in keys)
