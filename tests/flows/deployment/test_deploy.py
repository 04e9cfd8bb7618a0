"""Deployments as a real Prefect server has them after `deqir deploy`."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import typer

from flows.cli import app
from pipeline.config import RestoreJob
from pipeline.degradation import Degradation
from pipeline.errors import ConfigurationError
from tests.flows.deployments import JOB, register, schedule
from tests.flows.live import Api, within
from tests.processes import ROOT, python

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*")


@pytest.fixture
def deploy(api: Api, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Registers a deployment; returns what was said."""

    def run(name: str, **wanted: Any) -> str:
        register(name, **wanted)
        return capsys.readouterr().out

    return run


def automations(api: Api, prefix: str) -> list[dict[str, Any]]:
    return [each for each in api.call("POST", "/automations/filter", {}) if each["name"].startswith(prefix)]


def test_a_deployment_holds_the_job_and_runs_from_the_installed_package(api, deploy) -> None:
    told = deploy("holds", tags=("museum",))
    found = api.deployment("holds")
    assert RestoreJob.model_validate(found["parameters"]["job"]) == JOB
    assert found["entrypoint"] == "flows.flow.restore_archive.restore_archive"
    assert not found["pull_steps"]
    assert found["job_variables"]["stream_output"] is False
    assert found["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert found["global_concurrency_limit"]["limit"] == 1
    assert sorted(found["tags"]) == ["deqir", "museum"]
    assert "restore-archive/holds" in told
    assert "no worker is online" in told


def test_registering_again_changes_what_was_said_differently_and_nothing_else(api, deploy) -> None:
    deploy("again", schedule=schedule(cron="0 3 * * *", timezone="Europe/Vienna"))
    before, watchdog = api.deployment("again"), automations(api, "deqir: end runs")
    deploy("again", schedule=schedule(cron="0 4 * * *", timezone="Europe/Vienna"), limit=2)
    after = api.deployment("again")
    assert after["id"] == before["id"]
    assert [each["schedule"]["cron"] for each in after["schedules"]] == ["0 4 * * *"]
    assert after["global_concurrency_limit"]["limit"] == 2
    assert automations(api, "deqir: end runs") == watchdog
    assert len(watchdog) == 1
    deploy("again")
    assert api.deployment("again")["schedules"] == []


def test_the_form_of_the_parameters_explains_each_field_and_knows_choices_and_ranges(api, deploy) -> None:
    deploy("form")
    schema = api.deployment("form")["parameter_openapi_schema"]
    definitions = schema["definitions"]
    assert list(schema["properties"]) == ["job"]
    for name in ("RestoreJob", "ResultConfig", "RuntimeConfig", "Degradation"):
        for field, described in definitions[name]["properties"].items():
            if field not in ("degradation", "result", "runtime"):
                assert described.get("description"), f"{name}.{field}"
    assert definitions["ResultConfig"]["properties"]["mode"]["enum"] == ["auto", "throughput", "latency", "paper"]
    assert definitions["ResultConfig"]["properties"]["steps"]["minimum"] == 1


def test_the_server_refuses_a_run_whose_parameters_are_out_of_range(api, deploy) -> None:
    deploy("strict")
    id, job = api.deployment("strict")["id"], JOB.model_dump(mode="json")
    job["result"]["steps"] = 0
    with pytest.raises(Exception, match=r"409|422"):
        api.call("POST", f"/deployments/{id}/create_flow_run", {"parameters": {"job": job}})


def test_the_server_takes_a_run_of_another_task_whose_other_fields_are_empty(api, deploy) -> None:
    deploy("empty")
    id, job = api.deployment("empty")["id"], JOB.model_dump(mode="json")
    job["result"]["degradation"] = {"task": "deblur", "width": "auto", "scale": None, "mask": None}
    run = api.call("POST", f"/deployments/{id}/create_flow_run", {"parameters": {"job": job}})
    asked = RestoreJob.model_validate(run["parameters"]["job"]).result.degradation
    assert asked == Degradation(task="deblur", blur="gaussian", width="auto")


def test_a_schedule_makes_runs_at_its_local_time_and_a_paused_one_makes_none(api, deploy) -> None:
    deploy("cron", schedule=schedule(cron="0 3 * * *", timezone="Europe/Vienna"))
    deploy("paused", schedule=schedule(interval="6h"), paused=True)
    within(30, lambda: api.runs("cron"), "the server to plan runs")
    first = datetime.fromisoformat(api.runs("cron")[0]["expected_start_time"])
    assert first.utcoffset() == timedelta(0)
    assert first.hour in (1, 2)  # three in Vienna, in summer and in winter
    assert api.runs("paused") == []


def test_a_work_pool_without_a_limit_is_refused_and_one_with_a_limit_is_left_alone(api, deploy) -> None:
    name = f"pool-{uuid4().hex[:6]}"
    api.call("POST", "/work_pools/", {"name": name, "type": "process"})
    with pytest.raises(ConfigurationError, match=f"run: prefect work-pool set-concurrency-limit {name} 1"):
        deploy("refused", pool=name)
    assert not api.call("POST", "/deployments/filter", {"deployments": {"name": {"any_": ["refused"]}}})
    api.call("PATCH", f"/work_pools/{name}", {"concurrency_limit": 3})
    deploy("kept", pool=name)
    with pytest.raises(ConfigurationError, match="lets 3 runs go at a time, not 2"):
        deploy("kept", pool=name, pool_limit=2)
    assert api.call("GET", f"/work_pools/{name}")["concurrency_limit"] == 3


def test_a_pool_that_is_made_does_one_run_at_a_time_unless_told_otherwise(api, deploy) -> None:
    one, two = (f"pool-{uuid4().hex[:6]}" for _ in range(2))
    assert "1 at a time, created now" in deploy("one", pool=one)
    deploy("two", pool=two, pool_limit=2)
    assert [api.call("GET", f"/work_pools/{each}")["concurrency_limit"] for each in (one, two)] == [1, 2]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cron": "0 25 * * *"}, "--cron '0 25 * * *': Invalid cron string"),
        ({"cron": "0 0 30 2 *"}, "--cron '0 0 30 2 *': it has no time to come"),
        ({"cron": "* * * * * *"}, "--cron '* * * * * *': write five fields"),
        ({"cron": "0 3 * *"}, "--cron '0 3 * *': Invalid cron string"),
        ({"cron": "0 3 * * *", "interval": "6h"}, "--cron and --interval are two schedules"),
        ({"cron": "0 3 * * *", "timezone": "Mars/Olympus"}, "--timezone Mars/Olympus: no such time zone"),
        ({"timezone": "Europe/Vienna"}, "--timezone needs --cron"),
        ({"interval": "six hours"}, "--interval 'six hours': write it as 30m"),
        ({"interval": "10s"}, "--interval '10s': the shortest interval is one minute"),
        ({"rrule": "FREQ=SOMETIMES"}, "--rrule 'FREQ=SOMETIMES': invalid 'FREQ'"),
        ({"rrule": "FREQ=DAILY;UNTIL=20200101T000000"}, "it has no time to come"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_before_anything_is_registered(options, text) -> None:
    with pytest.raises(ConfigurationError) as caught:
        schedule(**options)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cron", ["0 3 * * *", "0 0 29 2 *", "*/5 8-18 * * MON-FRI", "@daily"])
def test_a_cron_schedule_that_comes_is_taken_however_seldom(cron) -> None:
    assert schedule(cron=cron).cron == cron


def test_an_interval_counts_from_midnight_in_its_time_zone_whenever_it_is_registered() -> None:
    first, second = (schedule(interval="1d12h", timezone="Asia/Tokyo") for _ in range(2))
    assert first == second
    assert first.interval == timedelta(hours=36)
    assert first.anchor_date.isoformat() == "2024-01-01T00:00:00+09:00"


@pytest.mark.parametrize("name", ["", "a/b", 'say "hi"', "50%"])
def test_a_name_that_prefect_does_not_allow_is_refused(deploy, name) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a deployment"):
        deploy(name)


def test_places_that_do_not_lie_apart_are_refused(deploy) -> None:
    with pytest.raises(ConfigurationError, match="must lie apart"):
        deploy("inside", job=RestoreJob(source="s3://archive/in", destination="s3://archive/in/out"))


def test_without_a_server_set_nothing_is_started_to_hold_the_deployment() -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ConfigurationError, match="set PREFECT_API_URL"),
    ):
        register("nowhere")
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(ConfigurationError, match="no Prefect server answers"),
    ):
        register("nowhere")


def test_deploy_has_every_option_of_restore_that_describes_the_job() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    restore, deploy = ({each.opts[0] for each in commands[name].params} for name in ("restore", "deploy"))
    assert restore - deploy == {"--dry-run", "--json", "--verbose"}


def test_the_file_prefect_yaml_makes_the_same_deployment_as_the_command_that_it_names(
    api, deqir, prefect_environment
) -> None:
    text = (ROOT / "prefect.yaml").read_text()
    (command,) = [line.removeprefix("#   deqir ") for line in text.splitlines() if line.startswith("#   deqir ")]
    by_command = nightly(api, lambda: deqir(*shlex.split(command)))
    words = ("--no-prompt", "deploy", "--name", "nightly")
    by_file = nightly(api, lambda: python("-m", "prefect", *words, env=prefect_environment))
    assert by_file == by_command


def nightly(api: Api, how: Callable[[], Any]) -> dict[str, Any]:
    """The deployment "nightly" that `how` makes, without what differs between any two of them."""
    for each in api.call("POST", "/deployments/filter", {"deployments": {"name": {"any_": ["nightly"]}}}):
        api.call("DELETE", f"/deployments/{each['id']}")
    run = how()
    assert run.returncode == 0, run.stdout + run.stderr
    found = api.deployment("nightly")
    found["parameters"]["job"] = RestoreJob.model_validate(found["parameters"]["job"]).model_dump(mode="json")
    found["pull_steps"] = found["pull_steps"] or None
    for each in (*found["schedules"], found["global_concurrency_limit"]):
        for name in ("id", "created", "updated", "deployment_id", "name"):
            each.pop(name, None)
    for name in ("id", "created", "updated", "version_id", "version_info", "last_polled", "status"):
        found.pop(name, None)
    return found


def test_the_versions_that_doctor_asks_for_are_those_of_the_package() -> None:
    from flows.doctor.check_server import SUITABLE

    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {f"{name}{needed}" for name, needed in SUITABLE.items()} <= set(dependencies)


def test_a_block_that_is_to_be_told_has_to_be_there(api, deploy) -> None:
    with pytest.raises(ConfigurationError, match="no such block"):
        deploy("told", notify="webhook/nowhere")
    with pytest.raises(ConfigurationError, match="TYPE/NAME"):
        deploy("told", notify="nowhere")


def test_who_is_told_of_ends_can_be_changed_and_taken_back(api, deploy) -> None:
    block = webhook(api, "https://example.org/hook")
    deploy("told", notify=block)
    (first,) = automations(api, "deqir: tell how restore-archive/told")
    assert first["actions"][0]["type"] == "call-webhook"
    assert json.dumps(api.deployment("told")["id"])[1:-1] in json.dumps(first["trigger"])
    deploy("told", notify=block)
    assert automations(api, "deqir: tell how restore-archive/told") == [first]
    deploy("told")
    assert automations(api, "deqir: tell how restore-archive/told") == []


def webhook(api: Api, url: str) -> str:
    """A Webhook block on the server."""
    from prefect.blocks.webhook import Webhook

    name = f"hook-{uuid4().hex[:6]}"
    Webhook(url=url, allow_private_urls=True).save(name)
    return f"webhook/{name}"
