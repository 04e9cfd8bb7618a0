"""An actor's counters for Prometheus, if the cluster has Ray's exporter (the packages of ray[default])."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from ray.util.metrics import Counter

from pipeline.shards import ShardReport
from pipeline.status import Status

EXPORTER: Final = ("opencensus", "prometheus_client", "aiohttp_cors")


class Meters:
    """Counters of an actor; their readers sum them up over actors."""

    def __init__(self, job_id: str) -> None:
        self._images = Counter("deqir_images", "Images by status.", ("job", "status"))
        self._shards = Counter("deqir_shards", "Shards committed.", ("job",))
        self._nfe = Counter("deqir_network_evaluations", "Network evaluations of committed images.", ("job",))
        self._seconds = Counter("deqir_shard_seconds", "Wall time of committed shards.", ("job",))
        for meter in (self._images, self._shards, self._nfe, self._seconds):
            meter.set_default_tags({"job": job_id})

    @classmethod
    def of(cls, job_id: str) -> Meters | None:
        """Return the counters; None if nothing exports them."""
        return cls(job_id) if all(find_spec(name) is not None for name in EXPORTER) else None

    def row(self, status: Status) -> None:
        """Count a finished image."""
        self._images.inc(1, {"status": status})

    def shard(self, report: ShardReport) -> None:
        """Count a committed shard."""
        self._shards.inc(1)
        if report.nfe:
            self._nfe.inc(report.nfe)
        if report.seconds:
            self._seconds.inc(report.seconds)
