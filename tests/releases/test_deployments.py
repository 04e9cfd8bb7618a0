"""Deployments of earlier releases run, log and are watched as before, without being registered anew."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flows.live import Api, started, within
from tests.releases.commands import ROOT
from tests.releases.conftest import Stage
from tests.releases.record import called, logged
from tests.releases.release import Release, releases

pytestmark = [pytest.mark.s3, pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*")]

RECORDED = [(release, name) for release in releases() for name in sorted(release.deployments)]
each = pytest.mark.parametrize(("release", "name"), RECORDED, ids=[f"{r.version} {name}" for r, name in RECORDED])
RUN = """
import json, sys
from prefect.flows import load_flow_from_entrypoint
flow = load_flow_from_entrypoint(sys.argv[1])
state = flow(**json.loads(sys.argv[2]), return_state=True)
print(state.state_details.flow_run_id, state.type.value)
"""
"""Runs a flow as Prefect's engine does for a worker."""


def flow_of(deployment: dict[str, Any]) -> Any:
    """The flow, as Prefect finds it."""
    from prefect.flows import load_flow_from_entrypoint

    return load_flow_from_entrypoint(deployment["registered"]["entrypoint"])


@each
def test_the_entry_point_of_a_registered_deployment_is_still_the_flow(release: Release, name: str) -> None:
    deployment = release.deployments[name]
    assert deployment["registered"]["entrypoint"] == "flows.restore.restore_archive"
    assert flow_of(deployment).name == "restore-archive"


@each
def test_the_parameters_of_a_registered_deployment_are_still_taken(release: Release, name: str) -> None:
    deployment = release.deployments[name]
    registered = deployment["registered"]["parameters"]
    jobs = [registered["job"], *([deployment["changed"]] if "changed" in deployment else [])]
    for job in jobs:
        taken = flow_of(deployment).validate_parameters({"job": job})["job"]
        assert (taken.source, taken.destination) == (job["source"], job["destination"])


@pytest.mark.parametrize("release", [r for r in releases() if "nightly" in r.deployments], ids=lambda r: r.version)
def test_a_run_of_a_registered_deployment_does_its_job_and_its_log_tells_of_plan_and_shards(
    stage: Stage, environment: dict[str, str], api: Api, release: Release
) -> None:
    """Its environment names the loggers of the release that registered it; nothing of its job is there yet."""
    bucket, recorded = stage.put_back(release, "nightly"), release.deployments["nightly"]
    registered = recorded["registered"]
    run = subprocess.run(
        [sys.executable, "-c", RUN, registered["entrypoint"], json.dumps(registered["parameters"])],
        env=environment | registered["job_variables"]["env"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    id, end = run.stdout.split()
    assert end == "COMPLETED", run.stderr
    (rows,) = bucket.rows("nightly/out/").values()
    (expected,) = release.rows["nightly"].values()
    names = ("source_key", "status", "output_key", "task")
    assert [[row[name] for name in names] for row in rows] == [[row[name] for name in names] for row in expected]
    assert set(bucket.outputs("nightly/out/")) == set(recorded["outputs"])  # a new job, so by today's method
    assert set(logged(api, id)) >= set(recorded["logs"]) >= {"plan written", "shard committed"}


@pytest.mark.parametrize("release", [r for r in releases() if r.inbox], ids=lambda r: r.version)
def test_a_watcher_goes_on_with_its_inbox_and_starts_runs_of_a_registered_deployment(
    stage: Stage, environment: dict[str, str], api: Api, tmp_path: Path, release: Release
) -> None:
    """The new run is for the new object alone, and the deployment's own form takes its parameters."""
    bucket, deployment = stage.put_back(release, "events"), release.deployments["events"]
    register(api, deployment["registered"], release.forms["events"])
    inbox = tmp_path / "inbox.sqlite3"
    inbox.write_bytes(release.inbox)
    watch = ("watch", "--deployment", "restore-archive/events", "--poll", "1", "--batch-seconds", "0")
    with started([*called("deqir"), *watch, "--inbox", str(inbox)], environment, tmp_path / "log") as watcher:
        within(60, lambda: watcher.poll() is not None or api.runs("events"), "a run for the new object")
        assert watcher.poll() is None, (tmp_path / "log").read_text()
    assert watcher.returncode == 0, (tmp_path / "log").read_text()
    (run,) = api.runs("events")
    key_list = run["parameters"]["job"]["key_list"].removeprefix(bucket.place(""))
    data, _ = bucket.objects(key_list)[key_list]
    assert data.split() == [b'"c.png"']
    assert flow_of(deployment).validate_parameters(run["parameters"])["job"].key_list


def register(api: Api, deployment: dict[str, Any], form: dict[str, Any]) -> None:
    """Have the server know a deployment as a release registered it, in a pool without a worker."""
    flow = api.call("POST", "/flows/", {"name": "restore-archive"})["id"]
    pool = {"name": deployment["work_pool_name"], "type": "process", "concurrency_limit": 1}
    api.call("POST", "/work_pools/", pool)
    names = ("name", "entrypoint", "parameters", "enforce_parameter_schema", "job_variables", "tags", "description")
    known = {name: deployment[name] for name in (*names, "work_pool_name", "paused", "version")}
    api.call("POST", "/deployments/", {**known, "flow_id": flow, "parameter_openapi_schema": form})
