"""The work of a run, found out without writing anything."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigurationError
from pipeline.keys import Layout
from pipeline.planning.missing_outputs import Listing
from pipeline.planning.plan import plan_unwritten, stored_plan, uncommitted
from pipeline.reporting.file_endings import ending_of
from pipeline.shards import ImageRef
from pipeline.store import Store, open_store

from .job import CheckedJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A number of inputs to be refused for a common reason, or by an error of this class.

    The names of all these inputs have the same ending, from `ending_of`.
    """

    reason: str
    ending: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The work of a run.

    Attributes:
        job_id: The job.
        inputs: All inputs, each version counted.
        done: Inputs with a row.
        to_restore: Images to be restored.
        taken: Images whose output's key is taken: a conflict, unless an interrupted run of this job
            left it.
        shards: Units of work, of which `refused` are a part.
        refused: Inputs to be skipped or to fail because of their names, the most frequent first.
    """

    job_id: str
    inputs: int
    done: int
    to_restore: int
    taken: int
    shards: int
    refused: tuple[Refused, ...]


def preview(checked: CheckedJob, /) -> Preview:
    """Return the work of a run: the source and the destination are listed, no image is read.

    Raises:
        ConfigurationError: The destination cannot be written to.
        StoreUnavailableError: A store does not answer.
    """
    job = checked.config
    layout, destination = Layout(checked.job_id), _destination(job.destination)
    shards = plan_unwritten(
        open_store(job.source, writable=False),
        () if destination is None else stored_plan(destination, layout),
        shard_size=job.runtime.shard_size,
        output_format=job.result.output_format,
    )
    pending = shards if destination is None else uncommitted(destination, layout, shards)
    waiting = [ref for shard in pending for ref in shard.images]
    inputs = sum(len(shard.images) for shard in shards)
    return Preview(
        job_id=checked.job_id,
        inputs=inputs,
        done=inputs - len(waiting),
        to_restore=sum(ref.refusal is None for ref in waiting),
        taken=0 if destination is None else _taken(destination, waiting),
        shards=len(pending),
        refused=_refused(waiting),
    )


def _destination(url: str) -> Store | None:
    """Return the destination's store; None for a folder that does not exist yet.

    Raises:
        ConfigurationError: The folder cannot be written to. A bucket shows this only at the first write.
    """
    if "://" in url:
        return open_store(url, writable=False)
    there = next(folder for folder in (Path(url), *Path(url).parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        raise ConfigurationError(f"cannot write to {url}: {there} is no folder that this user may write to")
    return open_store(url, writable=False) if there == Path(url) else None


def _taken(destination: Store, waiting: Iterable[ImageRef]) -> int:
    there = Listing(destination)
    return sum(ref.output_key is not None and ref.output_key in there for ref in waiting)


def _refused(waiting: Iterable[ImageRef]) -> tuple[Refused, ...]:
    count = Counter((ref.refusal_type or ref.refusal, ending_of(ref.key)) for ref in waiting if ref.refusal is not None)
    return tuple(
        Refused(reason=str(reason), ending=ending, count=number)
        for (reason, ending), number in sorted(count.items(), key=lambda each: (-each[1], str(each[0])))
    )
