"""The numbers of a job as Prometheus reads them from Ray."""

from __future__ import annotations

import os
import re
import secrets
import sys
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest

from pipeline.execution.ray.metrics import EXPORTER, Meters
from tests.flows.live import ray_head, started, within
from tests.pipeline.archive import put, restore_job, write_archive
from tests.processes import free_port

EXPORTS = all(find_spec(name) is not None for name in EXPORTER)


def totals(url: str) -> Counter[str]:
    """Our counters, summed over actors; "images restored" for the labelled one."""
    found = Counter[str]()
    with urlopen(url, timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if match := re.match(r"ray_deqir_(\w+)_total\{(.*)\} ([0-9.e+]+)$", line):
                status = re.search(r'status="(\w+)"', match[2])
                found[f"{match[1]} {status[1]}" if status else match[1]] += float(match[3])  # type: ignore[assignment]
    return found


@pytest.mark.ray
@pytest.mark.skipif(not EXPORTS, reason="Ray exports nothing without ray[default], the extra `cluster`")
def test_prometheus_reads_images_shards_and_evaluations(tmp_path, tiny_prior) -> None:
    write_archive(tmp_path / "in", 6)
    put(tmp_path / "in", "album/03.png", b"not an image")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = os.environ | token | {"RAY_metrics_report_interval_ms": "500", "OMP_NUM_THREADS": "1"}
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        ray_head(environment, Path(folder), "--metrics-export-port", str(port)) as (address, _),
    ):
        runtime = {"executor": "ray", "ray_address": address, "shard_size": 2}
        job = restore_job(tmp_path / "in", tmp_path / "out", tiny_prior, result={"steps": 500}, runtime=runtime)
        (tmp_path / "job.json").write_text(job.model_dump_json())
        command = [sys.executable, "-m", "tests.pipeline.drive", str(tmp_path / "job.json")]
        with started(command, environment, tmp_path / "drive.log"):
            url = f"http://127.0.0.1:{port}/metrics"
            within(60, lambda: totals(url)["images failed"] == 1, "the numbers", every=0.05)
            found = totals(url)
    assert 1 <= found["images restored"] <= 5
    assert found["shards"] in (1, 2, 3)
    assert found["network_evaluations"] % 500 == 0
    assert found["shard_seconds"] > 0


@pytest.mark.skipif(EXPORTS, reason="ray[default] is here")
def test_without_an_exporter_nothing_is_counted() -> None:
    assert Meters.of("job") is None
