"""Running shards of a job with its real worker, and what became of them, for the tests."""

from __future__ import annotations

from collections import Counter

import numpy as np

from pipeline.job.job import Job
from pipeline.manifest.schema import ManifestRow, decode_part
from pipeline.shards import Shard
from pipeline.worker.build import make_worker
from pipeline.worker.worker import ShardWorker


def worker_of(job: Job) -> ShardWorker:
    return make_worker(job.config, job.layout, job.prior_digest)


def run(worker: ShardWorker, shard: Shard) -> list[ManifestRow]:
    """Run one shard; returns its committed rows."""
    counted: Counter[str] = Counter()
    report = worker.run(shard, lambda status: counted.update([status]))
    assert sum(counted.values()) == report.counts.total
    return rows_of(worker, shard)


def rows_of(worker: ShardWorker, shard: Shard) -> list[ManifestRow]:
    return decode_part(worker.destination.get(worker.layout.part(shard.id), limit=2**30).data)


def assert_same_image(a: np.ndarray, b: np.ndarray) -> None:
    """Equal up to one grey level on one value in a thousand.

    float32 sums over another batch or with another number of threads are taken in another order and differ by
    parts in 10^7; few values lie that near to where 8 bits are rounded.
    """
    assert np.abs(a - b).max() <= 1
    assert (a != b).mean() <= 1e-3
