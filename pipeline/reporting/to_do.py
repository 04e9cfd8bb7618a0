"""The number of inputs still to do in a job, from its plan and the names of its manifest parts alone."""

from __future__ import annotations

from array import array
from collections.abc import Container
from functools import partial
from itertools import groupby
from operator import itemgetter

import numpy as np

from pipeline.keys import Layout
from pipeline.manifest.schema import map_objects
from pipeline.planning.plan import GENERATIONS, MAX_PLAN_BYTES
from pipeline.store import Store


def inputs_to_do(destination: Store, layout: Layout, parts: Container[str], *, rows: int) -> int:
    """Return the number of inputs without a row of their newest planned version.

    Where there is a row for each version, which the plan's lengths tell, nothing of it is unpacked.

    Args:
        destination: Where the job is.
        layout: Its keys.
        parts: Keys of its manifest parts.
        rows: Number of rows in these parts.

    Raises:
        ConfigurationError: The plan cannot be read.
    """
    plans = sorted(info.key for info in destination.list(layout.plans))
    if sum(map_objects(destination, plans, GENERATIONS.count, limit=MAX_PLAN_BYTES)) <= rows:
        return 0
    decode = partial(_decode, layout, parts)
    found = list(map_objects(destination, plans, decode, limit=MAX_PLAN_BYTES))
    names = np.concatenate([np.frombuffer(hashes, np.int64) for hashes, _ in found])
    waiting = np.concatenate([np.frombuffer(flags, np.bool_) for _, flags in found])
    _, newest = np.unique(names[::-1], return_index=True)  # generations are in the order of versions
    return int(waiting[::-1][newest].sum())


def _decode(layout: Layout, parts: Container[str], data: bytes) -> tuple[array[int], bytearray]:
    """Return the hash of each input's key in a generation of the plan, and True for inputs of uncommitted shards."""
    hashes, flags = array("q"), bytearray()
    for shard, rows in groupby(GENERATIONS.decode_columns(data, ("shard", "key")), key=itemgetter(0)):
        before = len(hashes)
        hashes.extend(hash(key) for _, key in rows)
        flags.extend([layout.part(shard) not in parts] * (len(hashes) - before))
    return hashes, flags
