"""`deqir doctor` checks real servers, pools, workers, stores and clusters, both working and faulty."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from flows.doctor.findings import Finding, Health
from pipeline.config import RestoreJob
from tests.flows.deployments import register, schedule
from tests.flows.live import Api, within, worker
from tests.pipeline.archive import restore_job, snapshot, write_archive

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*")


@pytest.fixture
def job(tmp_path: Path, tiny_prior: str) -> RestoreJob:
    write_archive(tmp_path / "in", 3)
    return restore_job(tmp_path / "in", tmp_path / "out", tiny_prior)


@pytest.fixture
def name(api: Api, job: RestoreJob) -> str:
    """A deployment with its own pool of the same name."""
    name = f"checked-{uuid4().hex[:6]}"
    register(name, job, pool=name)
    return name


def look(name: str | None) -> dict[str, Finding]:
    """Return the doctor's findings by subject."""
    from flows.doctor.doctor import findings

    return {each.subject: each for each in findings(name)}


def wrong(found: dict[str, Finding]) -> dict[str, Finding]:
    return {subject: each for subject, each in found.items() if each.health is Health.WRONG}


@pytest.fixture
def at_work(prefect_environment: dict[str, str], name: str, api: Api, tmp_path: Path) -> Iterator[None]:
    """A worker of the deployment's pool, online by the server's knowledge."""
    with worker(prefect_environment, name, tmp_path):
        within(60, lambda: api.call("POST", f"/work_pools/{name}/workers/filter", {}), "the worker")
        yield


def test_where_all_is_well_everything_is_ok_and_the_exit_status_is_0(name, at_work, deqir, tmp_path) -> None:
    run = deqir("doctor", "--deployment", f"restore-archive/{name}")
    assert run.returncode == 0, run.stdout
    assert all(line.startswith("ok ") for line in run.stdout.splitlines())
    for line in (
        "packages here: prefect 3.8",
        "server http://",
        "automation 'deqir: end runs whose process is gone': is on",
        f"work pool {name}: type process",
        f"limit of {name}: 1 run at a time",
        f"workers of {name}: online",
        f"source {tmp_path}/in: can be read, 3 objects",
        f"destination {tmp_path}/out: can be written to",
        "prior ",
    ):
        assert line in run.stdout


def test_without_a_server_it_says_so_and_the_exit_status_is_2(deqir) -> None:
    run = deqir("doctor", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert run.returncode == 2
    assert "wrong server: no Prefect server answers at http://127.0.0.1:9/api" in run.stdout
    assert "      do: start it or correct PREFECT_API_URL" in run.stdout


def test_a_pool_without_limit_or_worker_is_found(api, name) -> None:
    api.call("PATCH", f"/work_pools/{name}", {"concurrency_limit": None})
    found = wrong(look(name))
    assert found.keys() == {f"limit of {name}", f"workers of {name}"}
    assert found[f"limit of {name}"].do == f"prefect work-pool set-concurrency-limit {name} 1"
    assert found[f"workers of {name}"].do.endswith(f"prefect worker start --pool {name}")
    api.call("PATCH", f"/work_pools/{name}", {"is_paused": True, "concurrency_limit": 1})
    assert wrong(look(name)).keys() == {f"work pool {name}", f"workers of {name}"}


def test_runs_that_nobody_takes_are_found(api, name) -> None:
    earlier = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": earlier}}
    run = api.call("POST", f"/deployments/{api.deployment(name)['id']}/create_flow_run", {"state": state})
    late = look(name)[f"runs of {name}"]
    assert late.health is Health.WRONG
    assert "1 run should have started, the first 10 minutes ago" in late.says
    api.call("DELETE", f"/flow_runs/{run['id']}")
    assert look(name)[f"runs of {name}"].health is Health.OK


def test_a_watchdog_that_is_gone_off_or_another_is_found(api, name) -> None:
    (there,) = [
        each for each in api.call("POST", "/automations/filter", {}) if each["name"].startswith("deqir: end runs")
    ]
    subject = f"automation {there['name']!r}"
    api.call("PATCH", f"/automations/{there['id']}", {"enabled": False})
    assert "switched off" in wrong(look(name))[subject].says
    api.call("PATCH", f"/automations/{there['id']}", {"enabled": True})
    assert look(name)[subject].health is Health.OK
    api.call("DELETE", f"/automations/{there['id']}")
    assert "stays Running for ever" in wrong(look(name))[subject].says


def test_places_networks_and_clusters_that_a_run_could_not_use_are_found(api, job, deqir, tmp_path) -> None:
    bad = RestoreJob.model_validate(
        job.model_dump()
        | {"source": str(tmp_path / "nowhere"), "destination": "/proc/1/out"}
        | {"result": job.result.model_dump() | {"prior": "no-such"}}
        | {"runtime": {"executor": "ray", "ray_address": "127.0.0.1:9"}}
    )
    name = f"bad-{uuid4().hex[:6]}"
    register(name, bad, pool=name)
    found = wrong(look(name))
    assert found.keys() >= {f"source {bad.source}", f"destination {bad.destination}", "prior no-such"}
    run = deqir("doctor", "--deployment", f"restore-archive/{name}")  # this process may be connected to Ray by now
    assert "Ray at 127.0.0.1:9" in run.stdout
    assert found["prior no-such"].do == "deqir models fetch no-such"
    assert all(each.do for each in found.values())


def test_a_deployment_that_is_not_there_is_wrong_and_none_at_all_is_not(api) -> None:
    assert look("nowhere")["deployment nowhere"].health is Health.WRONG


def test_a_schedule_is_well_once_the_server_plans_its_runs(api, job) -> None:
    name = f"planned-{uuid4().hex[:6]}"
    register(name, job, pool=name, schedule=schedule(cron="0 3 * * *", timezone="Europe/Vienna"))
    found = look(name)[f"schedule of {name}"]
    assert found.health is Health.OK, found
    assert "next run at 20" in found.says


def test_looking_twice_writes_one_small_object(api, name, tmp_path) -> None:
    look(name)
    before = {path: data for path, (_, _, data) in snapshot(tmp_path / "out").items()}
    look(name)
    after = {path: data for path, (_, _, data) in snapshot(tmp_path / "out").items()}
    assert before == after
    assert list(after) == [".deqir/doctor"]


def test_late_runs_are_no_fault_while_their_own_pool_is_at_work(api, name) -> None:
    earlier = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": earlier}}
    deployment = api.deployment(name)["id"]
    for _ in range(2):
        api.call("POST", f"/deployments/{deployment}/create_flow_run", {"state": state})
    running = api.runs(name)[0]["id"]
    api.call("POST", f"/flow_runs/{running}/set_state", {"state": {"type": "RUNNING"}, "force": True})
    waiting = look(name)[f"runs of {name}"]
    assert (waiting.health, waiting.says) == (Health.NOTE, "waiting for their turn: 1, under way: 1")
