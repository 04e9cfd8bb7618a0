"""Processes that are killed in the middle of a job leave it such that running it again finishes it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.config import RestoreJob
from pipeline.job.job import plan_job
from tests.flows.live import descendants
from tests.flows.live import process as process_of
from tests.pipeline.archive import assert_kept, image_bytes, put, restore_job, snapshot, write_archive
from tests.pipeline.faults import MARKED_WIDTH, wait_until
from tests.pipeline.jobs import ends, run_job
from tests.pipeline.rows import read_manifest
from tests.processes import ROOT

pytestmark = pytest.mark.slow


def start(job: RestoreJob, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """A process of its own that runs `job`."""
    (folder / "job.json").write_text(job.model_dump_json())
    command = [sys.executable, "-m", "tests.pipeline.drive", str(folder / "job.json"), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)})


def finish(job: RestoreJob) -> dict[str, str]:
    """Run what is left of `job` in this process; returns each input's status, of its only row."""
    here = job.model_copy(update={"runtime": job.runtime.model_copy(update={"executor": "local"})})
    opened = run_job(here)
    rows = read_manifest(opened.config.destination, opened.id)
    for row in rows:
        if row.status == "restored":
            data = (Path(opened.config.destination) / str(row.output_key)).read_bytes()
            assert row.output_sha256 == hashlib.sha256(data).hexdigest()
    assert not plan_job(opened).pending
    return ends(opened)


def wait_for(folder: Path, pattern: str, process: subprocess.Popen[bytes], *, count: int = 1) -> list[Path]:
    """`count` files of this pattern, from a process that is to make them."""
    while len(found := list(folder.glob(pattern))) < count:
        assert process.poll() is None, f"ended with {process.returncode} before there were {count} of {pattern}"
        time.sleep(0.01)
    return found


def outputs(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {path: state for path, state in snapshot(folder).items() if path.endswith((".png", ".parquet"))}


@pytest.mark.parametrize("images", [1, 7], ids=["at the first output", "in the middle of a later shard"])
def test_a_job_killed_in_the_middle_is_finished_without_writing_anything_twice(tmp_path, tiny_prior, images) -> None:
    keys = write_archive(tmp_path / "source", 24)
    job = restore_job(tmp_path / "source", tmp_path / "destination", tiny_prior, result={"steps": 60})
    process = start(job, tmp_path)
    wait_for(tmp_path / "destination", "album/*.png", process, count=images)
    process.kill()
    process.wait()
    before = outputs(tmp_path / "destination")
    assert len([path for path in before if path.endswith(".png")]) < len(keys)
    assert finish(job) == dict.fromkeys(keys, "restored")
    assert_kept(before, tmp_path / "destination")
    assert len([path for path in outputs(tmp_path / "destination") if path.endswith(".png")]) == len(keys)


def test_a_job_ended_by_sigterm_in_this_process_is_finished_by_the_next(tmp_path, tiny_prior) -> None:
    keys = write_archive(tmp_path / "source", 24)
    job = restore_job(tmp_path / "source", tmp_path / "destination", tiny_prior, result={"steps": 60})
    process = start(job, tmp_path, "--handle-sigterm")
    wait_for(tmp_path / "destination", "album/*.png", process, count=2)
    process.terminate()
    assert process.wait() == 128 + signal.SIGTERM
    assert finish(job) == dict.fromkeys(keys, "restored")


@pytest.mark.ray
@pytest.mark.parametrize("handle", [True, False], ids=["SIGTERM raises, as in a flow run", "SIGTERM is not handled"])
def test_a_driver_ended_by_sigterm_takes_its_own_cluster_with_it(tmp_path, tiny_prior, handle) -> None:
    job, keys = job_that_hangs(tmp_path, tiny_prior, ray_address=None)
    process = start(job, tmp_path, "--hang", str(tmp_path / "faults"), *(["--handle-sigterm"] if handle else []))
    wait_for(tmp_path / "faults", "*", process)
    family = descendants(process.pid)
    assert len(family) >= 3  # at least Ray's two servers and an actor
    process.terminate()
    process.wait()
    assert process.returncode == (128 + signal.SIGTERM if handle else signal.SIGTERM)
    wait_until(lambda: not any(each.alive for each in family))
    assert finish(job) == dict.fromkeys(keys, "restored")


@pytest.mark.ray
def test_a_driver_ended_by_sigterm_leaves_no_actor_on_a_cluster_of_others(tmp_path, tiny_prior, ray_cluster) -> None:
    job, keys = job_that_hangs(tmp_path, tiny_prior, ray_address=ray_cluster)
    process = start(job, tmp_path, "--hang", str(tmp_path / "faults"), "--handle-sigterm")
    (fault,) = wait_for(tmp_path / "faults", "*", process)
    process.terminate()
    assert process.wait() == 128 + signal.SIGTERM
    wait_until(lambda: process_of(int(fault.name.split("-")[0])) is None)
    assert finish(job) == dict.fromkeys(keys, "restored")


def job_that_hangs(folder: Path, prior: str, *, ray_address: str | None) -> tuple[RestoreJob, list[str]]:
    """A job on one actor, whose first image hangs."""
    keys = ["a.png", *write_archive(folder / "source", 4)]
    put(folder / "source", keys[0], image_bytes(1, size=(MARKED_WIDTH, 16)))
    (folder / "faults").mkdir()
    runtime = {"executor": "ray", "actors": 1, "cpus_per_actor": 1, "ray_address": ray_address}
    return restore_job(folder / "source", folder / "destination", prior, runtime=runtime), keys
