"""Schedules fire, and after a kill of worker, process or server each run ends and the job goes on."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.job.job import find_jobs
from tests.flows.conftest import command
from tests.flows.live import Process, descendants, within
from tests.pipeline.archive import write_archive
from tests.pipeline.rows import read_manifest
from tests.processes import python
from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
IMAGES = 8

Deploy = Callable[..., tuple[str, Path]]


@pytest.fixture
def deploy(stack: Stack, tmp_path: Path, tiny_prior: str) -> Deploy:
    """Registers a deployment to restore eight images slowly; returns its name and destination."""

    def run(name: str, *options: str) -> tuple[str, Path]:
        write_archive(tmp_path / "in", IMAGES)
        task = ("--task", "sr", "--scale", "2")
        job = (*task, "--prior", tiny_prior, "--steps", "1000", "--mode", "throughput", "--shard-size", "1")
        words = command("deploy", name, tmp_path / "in", tmp_path / "out", *job, "--executor", "local", *options)
        done = python(*words[1:], env=stack.environment)
        assert done.returncode == 0, done.stderr
        return name, tmp_path / "out"

    return run


def parts(destination: Path) -> list[Path]:
    return list(destination.glob(".deqir/*/manifest/*.parquet"))


def all_restored_once(destination: Path) -> bool:
    (job,) = find_jobs(str(destination))
    rows = read_manifest(str(destination), job)
    return Counter(row.source_key for row in rows) == {f"album/{n:02d}.png": 1 for n in range(IMAGES)} and {
        row.status for row in rows
    } == {"restored"}


def run_process(stack: Stack) -> Process:
    """Return the process of the only run under way."""
    (found,) = [each for each in descendants(stack.holder) if each.name.endswith("-m prefect.engine")]
    return found


def test_a_cron_schedule_fires(stack, deploy) -> None:
    name, destination = deploy("every-minute", "--cron", "* * * * *", "--steps", "3")
    within(90, lambda: any(run["state_type"] == "COMPLETED" for run in stack.api.runs(name)), "a run by the clock")
    first = next(run for run in stack.api.runs(name) if run["state_type"] == "COMPLETED")
    assert first["auto_scheduled"]
    assert first["created_by"]["type"] == "SCHEDULE"
    assert all_restored_once(destination)
    stack.api.call("DELETE", f"/deployments/{stack.api.deployment(name)['id']}")


def test_a_run_outlives_its_worker(stack, deploy) -> None:
    name, destination = deploy("orphan")
    run = stack.api.start(name)
    within(90, lambda: parts(destination), "the first shard")
    stack.kill("worker")
    assert stack.api.ended(run, seconds=180)["state_type"] == "COMPLETED"
    assert all_restored_once(destination)


def test_a_run_outlives_a_restart_of_the_server(stack, deploy) -> None:
    name, destination = deploy("outage")
    run = stack.api.start(name)
    within(90, lambda: parts(destination), "the first shard")
    before = len(parts(destination))
    killed = stack.kill("prefect-server")
    assert before < IMAGES
    assert stack.service("prefect-server") != killed
    within(60, lambda: "prefect-server: healthy" in stack.log("stack").rpartition("status -9")[2], "the server")
    assert stack.api.ended(run, seconds=180)["state_type"] == "COMPLETED"
    assert all_restored_once(destination)


def test_a_killed_run_is_crashed_at_once_and_the_next_one_goes_on(stack, deploy) -> None:
    name, destination = deploy("killed")
    run = stack.api.start(name)
    within(90, lambda: parts(destination), "the first shard")
    os.kill(run_process(stack).pid, signal.SIGKILL)
    assert stack.api.ended(run, seconds=30)["state_type"] == "CRASHED"
    assert len(parts(destination)) < IMAGES
    assert stack.api.ended(stack.api.start(name), seconds=180)["state_type"] == "COMPLETED"
    assert all_restored_once(destination)


def test_a_run_killed_together_with_its_worker_is_crashed_within_two_minutes_and_the_next_one_goes_on(
    stack, deploy
) -> None:
    name, destination = deploy("zombie")
    run = stack.api.start(name)
    within(90, lambda: parts(destination), "the first shard")
    process = run_process(stack)
    stack.kill("worker")
    os.kill(process.pid, signal.SIGKILL)
    ended = stack.api.ended(run, seconds=120)
    assert ended["state_type"] == "CRASHED"
    assert "its process was silent for 75 s" in ended["state"]["message"]
    assert stack.api.ended(stack.api.start(name), seconds=180)["state_type"] == "COMPLETED"
    assert all_restored_once(destination)


def test_two_runs_of_one_pool_are_never_under_way_at_once(stack, deploy) -> None:
    name, _ = deploy("alone", "--limit", "5")
    runs = [stack.api.start(name) for _ in range(2)]
    seen = set[int]()

    def look() -> bool:
        states = [stack.api.run(run)["state_type"] for run in runs]
        seen.add(sum(state in ("RUNNING", "PENDING") for state in states))
        return states == ["COMPLETED", "COMPLETED"]

    within(240, look, "both runs to end", every=0.5)
    assert seen <= {0, 1}


def test_no_secret_is_in_the_database_the_logs_the_artifacts_the_manifest_or_the_inbox(stack) -> None:
    s3 = stack.s3()
    for number in range(4):
        s3.put_object(Bucket="archive", Key=f"in/secret/{number}.png", Body=b"not an image")
    within(120, lambda: ended_at_least(stack, 1), "a run of the store's")
    secrets = [each for name, each in stack.variables.items() if name.startswith(("AWS_SEC", "AWS_ACC", "RAY_AUTH_T"))]
    assert len(secrets) == 3
    places = {str(path): path.read_bytes() for path in files(stack.folder) if path.name not in HOLD_SECRETS}
    for item in s3.list_objects_v2(Bucket="archive", Prefix="out/")["Contents"]:
        places[item["Key"]] = s3.get_object(Bucket="archive", Key=item["Key"])["Body"].read()
    for path in (
        "/flow_runs/filter",
        "/artifacts/filter",
        "/deployments/filter",
        "/logs/filter",
        "/block_documents/filter",
    ):
        places[path] = str(stack.api.call("POST", path, {"limit": 200})).encode()
    assert len(places) > 50
    assert [place for place, data in places.items() if any(each.encode() in data for each in secrets)] == []


HOLD_SECRETS = {"secrets.json", "environment.sh", "identities.json", "notification.toml"}


def ended_at_least(stack: Stack, number: int) -> bool:
    return sum(run["state_type"] == "COMPLETED" for run in stack.api.runs("archive")) >= number


def files(folder: Path) -> list[Path]:
    """Return the files of a stack: its database, logs, inbox and the home of Prefect."""
    return [path for path in folder.rglob("*") if path.is_file() and "seaweedfs/" not in str(path)]
