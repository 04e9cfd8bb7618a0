"""Which of the objects that a row tells of are gone from the destination, told by one listing of it."""

from __future__ import annotations

import posixpath
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.keys import Layout
from pipeline.store import Store


@dataclass(frozen=True, slots=True)
class Listing:
    """Which keys a store had when it was listed, eight bytes for each; once in an age it takes one for there.

    Attributes:
        hashes: Of the keys, in order.
    """

    hashes: array[int]

    @classmethod
    def of(cls, store: Store) -> Listing:
        """List a store."""
        found = np.fromiter((hash(info.key) for info in store.list()), np.int64)
        found.sort()
        return cls(array("q", found.tobytes()))

    def __contains__(self, key: str) -> bool:
        at = bisect_left(self.hashes, hash(key))
        return at < len(self.hashes) and self.hashes[at] == hash(key)


def written(layout: Layout, output_key: str, samples: int | None) -> tuple[str, ...]:
    """Return the keys of what was written of one image: its output and, of several samples, what lies beside it.

    Args:
        layout: Of the job, or of the retry, that has the image's row.
        output_key, samples: As in the row.
    """
    if not samples:
        return (output_key,)
    beside = layout.samples_of(output_key, samples, extension=posixpath.splitext(output_key)[1])
    return (output_key, *beside.all)


def is_gone(store: Store, keys: Iterable[str]) -> bool:
    """Return whether any of these objects is not there."""
    return any(store.head(key) is None for key in keys)
