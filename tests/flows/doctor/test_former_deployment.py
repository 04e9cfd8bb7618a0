"""A deployment as version 0.1 registered it goes on, and `deqir doctor` says how to bring it up to date."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from flows.doctor.findings import Health
from pipeline.config import RestoreJob
from tests.flows.deployments import register
from tests.flows.live import Api, within, worker
from tests.pipeline.archive import restore_job, write_archive

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*")

ENTRY_POINT = {"entrypoint": "flows.restore.restore_archive"}
LOGGERS = {
    "job_variables": {
        "stream_output": False,
        "env": {
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_EXTRA_LOGGERS": "pipeline.job,pipeline.plan,pipeline.executors,pipeline.ray_executor",
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        },
    }
}


@pytest.fixture
def job(tmp_path: Path, tiny_prior: str) -> RestoreJob:
    write_archive(tmp_path / "in", 2)
    return restore_job(tmp_path / "in", tmp_path / "out", tiny_prior)


def register_former(api: Api, job: RestoreJob, former: dict[str, Any]) -> str:
    """Register a deployment with some properties of a former one; return its name, which is also its pool."""
    name = f"former-{uuid4().hex[:6]}"
    register(name, job, pool=name)
    api.call("PATCH", f"/deployments/{api.deployment(name)['id']}", former)
    return name


@pytest.mark.parametrize("former", [ENTRY_POINT, LOGGERS])
def test_the_doctor_says_that_its_runs_go_on_and_that_deploy_brings_it_up_to_date(api, job, former) -> None:
    from flows.doctor.doctor import findings

    name = register_former(api, job, former)
    (found,) = [each for each in findings(name) if "earlier version" in each.says]
    assert (found.subject, found.health) == (f"deployment {name}", Health.NOTE)
    assert "its runs go on" in found.says
    assert "run deqir deploy again" in found.do
    register(name, job, pool=name)
    assert not [each for each in findings(name) if "earlier version" in each.says]


def test_the_servers_log_of_its_run_has_the_lines_about_plan_and_shards(
    api, job, prefect_environment, tmp_path
) -> None:
    name = register_former(api, job, ENTRY_POINT | LOGGERS)
    with worker(prefect_environment, name, tmp_path):
        run = api.start(name)
        assert api.ended(run, seconds=120)["state_type"] == "COMPLETED"
        within(30, lambda: len(ours(api, run)) >= 2, "the lines, which a run sends in batches")
    planned, committed = ours(api, run)
    assert planned.startswith("plan written job=")
    assert re.match(r"shard committed job=.* restored=2 failed=0", committed)


def ours(api: Api, run: str) -> list[str]:
    return [line["message"] for line in api.logs(run) if line["name"].startswith("deqir.")]
