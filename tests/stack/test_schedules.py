"""`deqir doctor` finds that a server answers but fires no schedule."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flows.doctor.findings import Health
from pipeline.config import RestoreJob
from tests.flows.deployments import register, schedule
from tests.flows.live import started, within
from tests.processes import free_port

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*"),
]


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def without_scheduler(tmp_path: Path) -> Iterator[None]:
    """A real server without a scheduler, used by Prefect in this process."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    off = {"PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false", "PREFECT_HOME": str(tmp_path), "DO_NOT_TRACK": "1"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with started(command, os.environ | off, tmp_path / "server.log"):
        within(90, lambda: answers(f"{url}/health"), "the server")
        with temporary_settings({PREFECT_API_URL: url}):
            yield


def test_a_schedule_that_never_fires_is_found_and_the_reason_is_named(without_scheduler, tmp_path) -> None:
    from flows.doctor.doctor import findings

    job = RestoreJob(source=str(tmp_path / "in"), destination=str(tmp_path / "out"))
    register("silent", job, schedule=schedule(cron="* * * * *"))
    found = {each.subject: each for each in findings("silent")}
    assert found["schedule of silent"].health is Health.WRONG
    assert "will never fire" in found["schedule of silent"].says
    assert "sqlalchemy>=2,<2.1" in found["schedule of silent"].do
    assert next(each for subject, each in found.items() if subject.startswith("server")).health is Health.OK
