"""A job's manifest read part by part, in memory that hardly grows with it.

Of each part stay its numbers, its failures and eight bytes for each row, which find inputs with rows of several
versions. Parts with a row that does not count, such as the row of an older version, are read again without it. An image
that was restored, lost and not restored again counts by the row of its last retry.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

import numpy as np

from pipeline.keys import Layout
from pipeline.manifest.brief import Brief, decode_briefs
from pipeline.manifest.schema import map_objects, part_keys
from pipeline.shards import Version
from pipeline.status import DELIVERED, Status
from pipeline.store import Store

from .before_after import is_quick
from .even_choice import Sample
from .newest_version import accepted_since, newest, restored_since, undelivered_since
from .summary import JobSummary, summary_of
from .sums import Sums, sums_of
from .to_do import inputs_to_do

MOST_SAMPLED: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A job's manifest in numbers and examples.

    Attributes:
        summary: The job in numbers.
        restored: Rows of restored images of which pictures can be shown; of more than `MOST_SAMPLED` some, spread
            evenly.
        histories: Residuals of an image after each of its rounds; of more than `MOST_SAMPLED` images some, likewise.
        worst: The largest residual of all images after each round.
    """

    summary: JobSummary
    restored: tuple[Brief, ...]
    histories: tuple[list[float], ...]
    worst: tuple[float, ...]


class Part(NamedTuple):
    """A manifest part reduced to numbers: hashes of its rows' source keys, and its counting rows as sums."""

    names: array[int]
    sums: Sums


def survey_of(store: Store, job_id: str) -> Survey:
    """Return a job's manifest, and the manifests of its retries, in numbers and examples.

    Raises:
        ConfigurationError: A manifest or the plan cannot be read.
    """
    parts, worst = dict[str, Part](), list[float]()
    restored, histories = Sample[Brief](MOST_SAMPLED), Sample[list[float]](MOST_SAMPLED)
    keys = part_keys(store, Layout(job_id))
    for key, (rows, residuals) in zip(keys, map_objects(store, keys, decode_briefs), strict=True):
        parts[key] = _part_of(rows)
        restored.add(row for row in rows if row.status == Status.RESTORED and is_quick(row))
        histories.add(residuals)
        worst = worst_of([*residuals, worst])
    images = sum(len(part.names) for part in parts.values())
    left_out, instead = _corrections(store, job_id, parts)
    again = _with_names(parts, {hash(key) for key, _ in left_out})
    for key, (rows, _) in zip(again, map_objects(store, again, decode_briefs), strict=True):
        parts[key] = _part_of([row for row in rows if row.version not in left_out])
    sums = [*(part.sums for part in parts.values()), sums_of(instead)]
    failures = chain.from_iterable(each.failures for each in sums)
    aside = any(each.aside for each in sums)
    return Survey(
        summary=summary_of(
            job_id,
            store.url,
            sums,
            to_do=inputs_to_do(store, Layout(job_id), parts, rows=images),
            replaced=images - len(instead) - sum(len(part.names) for part in parts.values()),
            restored_since=restored_since(store, job_id, failures),
            accepted=accepted_since(store, job_id) if aside else (),
        ),
        restored=tuple(row for row in restored.chosen if row.version not in left_out),
        histories=tuple(histories.chosen),
        worst=tuple(worst),
    )


def worst_of(histories: Iterable[list[float]]) -> list[float]:
    """Return the largest residual after each round; an image with fewer rounds than others keeps its last."""
    known = [history for history in histories if history]
    rounds = max(map(len, known), default=0)
    padded = (history + history[-1:] * (rounds - len(history)) for history in known)
    return [max(each) for each in zip(*padded, strict=True)]


def _part_of(rows: list[Brief]) -> Part:
    return Part(array("q", (hash(row.source_key) for row in rows)), sums_of(rows))


def _corrections(store: Store, job_id: str, parts: Mapping[str, Part]) -> tuple[set[Version], list[Brief]]:
    """Return the versions whose rows do not count, and rows of retries in place of some of them.

    A row may not count if it is a failure, if its input has several rows, or if its image was lost and failed again.
    """
    failures = {row.version: row for part in parts.values() for row in part.sums.failures}
    later = undelivered_since(store, job_id)
    names = _several(parts) | {hash(key) for key, _ in later.keys() - failures.keys()}
    found = (row for rows, _ in map_objects(store, _with_names(parts, names), decode_briefs) for row in rows)
    rows = {row.version: row for row in found if hash(row.source_key) in names} | failures
    lost = {version for version, row in rows.items() if row.status in DELIVERED and version in later}
    counting = newest(store, job_id, [later[version] if version in lost else row for version, row in rows.items()])
    instead = [row for row in counting if row.version in lost]
    return rows.keys() - {row.version for row in counting} | lost, instead


def _several(parts: Mapping[str, Part]) -> set[int]:
    """Return the hashes of inputs with several rows; rarely, two inputs share a hash."""
    names = [np.frombuffer(part.names, np.int64) for part in parts.values()]
    found, counts = np.unique(np.concatenate([np.empty(0, np.int64), *names]), return_counts=True)
    return set(found[counts > 1].tolist())


def _with_names(parts: Mapping[str, Part], names: Container[int]) -> list[str]:
    """Return the keys of the parts with a row of these names."""
    return [key for key, part in parts.items() if any(name in names for name in part.names)]
