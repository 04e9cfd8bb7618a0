"""Runs that are cancelled while they restore: everything of theirs ends, and the job goes on from where it stopped."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.job.job import find_jobs
from tests.flows.conftest import Command
from tests.flows.live import Api, actors, descendants, ray_head, within, worker
from tests.pipeline.archive import write_archive
from tests.pipeline.rows import read_manifest

pytestmark = pytest.mark.ray
IMAGES = 4
TASK = ("--task", "sr", "--scale", "2")
SLOW = (*TASK, "--steps", "1000", "--mode", "throughput", "--shard-size", "1", "--device", "cpu")


@pytest.fixture(scope="module")
def cluster_environment(prefect_environment: dict[str, str]) -> dict[str, str]:
    """The environment of a worker whose runs may talk to a Ray cluster that asks for a token."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    return prefect_environment | token


@pytest.fixture(scope="module")
def worker_pid(cluster_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with worker(cluster_environment, "cancel", tmp_path_factory.mktemp("worker")) as running:
        yield running.pid


@pytest.fixture(scope="module")
def other_cluster(cluster_environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Address and process of a cluster that exists before and after our runs."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    with ray_head(cluster_environment, folder) as (address, running):
        yield address, running.pid
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def archive(tmp_path: Path) -> tuple[Path, Path]:
    write_archive(tmp_path / "in", IMAGES)
    return tmp_path / "in", tmp_path / "out"


def deploy(deqir: Command, name: str, archive: tuple[Path, Path], prior: str, *options: str) -> None:
    run = deqir("deploy", name, *archive, "--prior", prior, "--work-pool", "cancel", *SLOW, *options)
    assert run.returncode == 0, run.stderr


def parts(destination: Path) -> list[Path]:
    return list(destination.glob(".deqir/*/manifest/*.parquet"))


def assert_all_restored_once(destination: Path) -> None:
    (job,) = find_jobs(str(destination))
    rows = read_manifest(str(destination), job)
    assert Counter(row.status for row in rows) == {"restored": IMAGES}
    assert len({row.source_key for row in rows}) == IMAGES


def test_a_run_cancelled_in_the_interface_ends_its_own_ray_in_30_s_and_the_next_run_goes_on(
    deqir, prefect_environment, archive, tiny_prior, worker_pid
) -> None:
    api = Api(prefect_environment["PREFECT_API_URL"])
    deploy(deqir, "embedded", archive, tiny_prior)
    run = api.start("embedded")
    within(90, lambda: parts(archive[1]), "the first shard")
    there, ours = descendants(worker_pid), actors(worker_pid)
    assert ours
    api.cancel(run)
    within(5, lambda: not any(each.alive for each in ours), "the actors to end before the Ray that they are in")
    within(30, lambda: not any(each.alive for each in there), "Ray and the run's process to end")
    assert api.ended(run, seconds=300)["state_type"] == "CANCELLED"
    assert len(parts(archive[1])) < IMAGES

    again = api.start("embedded", runtime={"shard_size": 1, "executor": "local"})
    assert api.ended(again, seconds=300)["state_type"] == "COMPLETED"
    assert_all_restored_once(archive[1])


@pytest.mark.stack
def test_a_run_cancelled_on_another_cluster_ends_its_actors_in_30_s_and_leaves_the_cluster(
    deqir, prefect_environment, archive, tiny_prior, worker_pid, other_cluster
) -> None:
    api, (address, head) = Api(prefect_environment["PREFECT_API_URL"]), other_cluster
    deploy(deqir, "other", archive, tiny_prior, "--ray-address", address, "--actors", "2")
    run = api.start("other")
    within(90, lambda: parts(archive[1]), "the first shard")
    ours = actors(head)
    assert len(ours) == 2
    rest = [each for each in descendants(head) if each.name.endswith(("gcs_server", "raylet"))]
    api.cancel(run)
    within(30, lambda: not any(each.alive for each in ours), "the actors to end")
    assert api.ended(run, seconds=300)["state_type"] == "CANCELLED"
    assert not actors(head)
    assert all(each.alive for each in rest)

    again = api.start("other")
    assert api.ended(again, seconds=300)["state_type"] == "COMPLETED"
    assert_all_restored_once(archive[1])
