"""Deployments and schedules that somebody paused, as a real Prefect server has them after `deqir deploy`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.deployments import register, schedule
from tests.flows.live import Api

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """Registers a deployment that runs at an hour of the night; returns what was said of when it runs."""

    def run(name: str, *, hour: int = 3, **wanted: Any) -> str:
        register(name, **{"schedule": schedule(cron=f"0 {hour} * * *")} | wanted)
        (line,) = [each for each in capsys.readouterr().out.splitlines() if each.startswith("runs: ")]
        return line

    return run


def state(api: Api, name: str) -> tuple[bool, list[tuple[str, bool]]]:
    """Whether a deployment is paused, and its schedules, each with whether it is active."""
    found = api.deployment(name)
    return found["paused"], [(each["schedule"]["cron"], each["active"]) for each in found["schedules"]]


def test_a_deployment_that_somebody_paused_stays_so_until_resume_is_said(api, said) -> None:
    assert said("rest") == "runs: cron 0 3 * * *, UTC"
    api.call("POST", f"/deployments/{api.deployment('rest')['id']}/pause_deployment")
    assert said("rest", hour=4) == "runs: cron 0 4 * * *, UTC (paused; --resume lets it run)"
    assert state(api, "rest") == (True, [("0 4 * * *", True)])
    assert said("rest", hour=4, paused=False) == "runs: cron 0 4 * * *, UTC"
    assert state(api, "rest") == (False, [("0 4 * * *", True)])


def test_one_that_runs_goes_on_until_paused_is_said_and_that_is_kept(api, said) -> None:
    said("go")
    said("go", hour=4)
    assert state(api, "go") == (False, [("0 4 * * *", True)])
    said("go", paused=True)
    said("go")
    assert state(api, "go") == (True, [("0 3 * * *", True)])


def test_a_schedule_that_somebody_paused_stays_so_until_resume_is_said(api, said) -> None:
    """What `prefect deployment schedule pause` does, and the switch beside a schedule."""
    said("switch")
    found = api.deployment("switch")
    (there,) = found["schedules"]
    api.call("PATCH", f"/deployments/{found['id']}/schedules/{there['id']}", {"active": False})
    assert said("switch", hour=4) == "runs: cron 0 4 * * *, UTC (paused; --resume lets it run)"
    assert state(api, "switch") == (False, [("0 4 * * *", False)])
    said("switch", paused=False)
    assert state(api, "switch") == (False, [("0 3 * * *", True)])


def test_the_doctor_tells_of_both_and_of_the_command_that_ends_them(api, said) -> None:
    from flows.doctor.check_server import check_deployment
    from flows.server import server

    def looks(name: str) -> dict[str, str]:
        with server() as client:
            found = client.read_deployment_by_name(f"restore-archive/{name}")
            return {each.says: each.do for each in check_deployment(client, found)}

    said("told", paused=True)
    assert "--resume" in looks("told")["is paused"]
    said("told", paused=False)
    found = api.deployment("told")
    api.call("PATCH", f"/deployments/{found['id']}/schedules/{found['schedules'][0]['id']}", {"active": False})
    assert "--resume" in looks("told")["its schedule is paused"]


@pytest.mark.parametrize(("options", "paused"), [([], None), (["--paused"], True), (["--resume"], False)])
def test_the_command_line_says_it(options, paused) -> None:
    import typer

    from flows.cli import app

    command = typer.main.get_command(app).commands["deploy"]  # type: ignore[attr-defined]
    assert command.make_context("deploy", ["name", "in", "out", *options]).params["paused"] is paused
