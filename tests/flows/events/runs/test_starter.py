"""The starter turns hints into runs on a real Prefect server; the runs are read over the server's API."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.events.inbox.batch_rule import BatchRule
from flows.events.inbox.inbox import Inbox
from flows.events.repeat import TryLaterError, repeat
from flows.events.runs import starter as starting
from flows.events.runs.follower import MOST_ATTEMPTS, follow
from flows.events.runs.runs import Runs, open_runs
from flows.events.runs.starter import Starter
from flows.events.watch import watch
from flows.options.watch import WatchSettings
from pipeline.errors import ConfigurationError
from pipeline.store import open_store
from tests.flows.events.conftest import entries, open_inbox
from tests.flows.events.prefect_api import PrefectApi, keys_in, keys_of

SOURCE = "s3://archive/in"


@pytest.fixture
def begin(api: PrefectApi, inbox: Inbox, tmp_path: Path) -> Iterator[Callable[..., Starter]]:
    """Makes a starter for a deployment: begin(name, most_runs=2)."""
    opened = []

    def make(name: str, *, size: int = 100, seconds: float = 0.0, most_runs: int = 100) -> Starter:
        opened.append(open_runs(name))
        return Starter(
            inbox=inbox,
            runs=opened[-1].__enter__(),
            destination=open_store(str(tmp_path / "out"), writable=True),
            rule=BatchRule(size=size, seconds=seconds),
            most_runs=most_runs,
        )

    yield make
    for each in opened:
        each.__exit__(None, None, None)


def test_batches_are_started_with_their_keys_and_the_deployments_own_job(begin, inbox, api, tmp_path) -> None:
    name, deployment = api.deploy(SOURCE, str(tmp_path / "out"))
    start = begin(name, size=3)
    inbox.add(entries("a", "line\nbreak", "bytes\udcff", "d", "e"))
    start()
    runs = api.runs_of(deployment)
    assert sorted(len(keys_in(run)) for run in runs) == [2, 3]
    assert keys_of(runs) == sorted(["a", "line\nbreak", "bytes\udcff", "d", "e"])
    for run in runs:
        job = run["parameters"]["job"]
        expected = {"source": SOURCE, "destination": str(tmp_path / "out"), "result": {"steps": 3}}
        assert job == expected | {"key_list": job["key_list"]}
        assert Path(job["key_list"]).parent == tmp_path / "out/.deqir/events"
        assert "events" in run["tags"]
    start()
    assert len(api.runs_of(deployment)) == 2


def test_hints_wait_for_company_as_long_as_the_rule_says(begin, inbox, api, tmp_path) -> None:
    name, deployment = api.deploy(SOURCE, str(tmp_path / "out"))
    start = begin(name, size=3, seconds=3600)
    inbox.add(entries("a", "b"))
    start()
    assert api.runs_of(deployment) == []
    inbox.add(entries("c", "d"))
    start()
    assert keys_of(api.runs_of(deployment)) == ["a", "b", "c"]


def test_no_run_is_started_while_enough_are_under_way_whoever_started_them(begin, inbox, api, tmp_path) -> None:
    name, deployment = api.deploy(SOURCE, str(tmp_path / "out"))
    by_hand = api.call("POST", f"/deployments/{deployment}/create_flow_run", {})["id"]
    start = begin(name, size=2, most_runs=2)
    inbox.add(entries("a", "b", "c", "d", "e"))
    assert start() == starting.BUSY_SECONDS
    assert len(api.runs_of(deployment)) == 2
    assert inbox.waiting()[0] == 3
    for state in ("PENDING", "RUNNING", "CANCELLING"):
        api.set_state(by_hand, state)
        start()
        assert len(api.runs_of(deployment)) == 2
    api.set_state(by_hand, "COMPLETED")
    start()
    assert len(api.runs_of(deployment)) == 3
    for run in api.runs_of(deployment):
        api.set_state(run["id"], "COMPLETED")
    start()
    started = [run for run in api.runs_of(deployment) if run["id"] != by_hand]
    assert keys_of(started) == ["a", "b", "c", "d", "e"]


def test_runs_that_a_schedule_has_planned_for_later_hold_nothing_back(begin, inbox, api, tmp_path) -> None:
    daily = {"active": True, "schedule": {"cron": "0 3 * * *", "timezone": "UTC"}}
    name, deployment = api.deploy(SOURCE, str(tmp_path / "out"), schedules=[daily])
    planned = {"deployments": {"id": {"any_": [deployment]}}}
    while not api.call("POST", "/flow_runs/count", planned):  # the scheduler comes by every few seconds
        threading.Event().wait(0.2)
    start = begin(name, most_runs=1)
    assert start.runs.active(start.runs.deployment()) == 0
    inbox.add(entries("a"))
    start()
    assert keys_of(api.runs_of(deployment)) == ["a"]
    assert start.runs.active(start.runs.deployment()) == 1


def test_racing_watchers_of_one_inbox_start_one_run_a_batch(begin, api, tmp_path) -> None:
    name, deployment = api.deploy(SOURCE, str(tmp_path / "out"))
    starters = [begin(name, size=1) for _ in range(3)]
    for starter in starters:
        starter.inbox = open_inbox(tmp_path)
    starters[0].inbox.add(entries("a", "b", "c"))
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda starter: starter(), starters)) == [starting.IDLE_SECONDS] * 3
    for starter in starters:
        starter.inbox.close()
    assert keys_of(api.runs_of(deployment)) == ["a", "b", "c"]


def end(api: PrefectApi, deployment: str, kind: str, **state: Any) -> None:
    """End the newest run."""
    last = max(api.runs_of(deployment), key=lambda run: run["created"])
    api.set_state(last["id"], kind, **state)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a batch be started again at once."""
    monkeypatch.setattr("flows.events.runs.follower.FIRST_RETRY_SECONDS", -1.0)


def test_a_batch_whose_run_failed_gets_others_until_it_is_given_up(begin, inbox, api, tmp_path, at_once) -> None:
    name, deployment = api.deploy(SOURCE, str(tmp_path / "out"))
    start = begin(name)
    inbox.add(entries("a"))
    for attempt in range(1, MOST_ATTEMPTS + 3):
        start()
        assert len(api.runs_of(deployment)) == min(attempt, MOST_ATTEMPTS)
        if attempt <= MOST_ATTEMPTS:
            end(api, deployment, "CRASHED" if attempt % 2 else "FAILED")
        follow(inbox, start.runs)
    assert keys_of(api.runs_of(deployment)) == ["a"] * MOST_ATTEMPTS
    assert inbox.counts().ended == 1


@pytest.mark.parametrize(
    ("kind", "message", "runs"),
    [
        ("COMPLETED", "", 1),
        ("CANCELLED", "by hand", 1),
        ("CANCELLED", "Deployment concurrency limit reached.", 2),
        ("RUNNING", "", 1),
    ],
)
def test_only_a_run_that_another_may_do_better_is_followed_by_one(
    begin, inbox, api, tmp_path, at_once, kind, message, runs
) -> None:
    name, deployment = api.deploy(SOURCE, str(tmp_path / "out"))
    start = begin(name)
    inbox.add(entries("a"))
    start()
    end(api, deployment, kind, message=message)
    follow(inbox, start.runs)
    start()
    assert len(api.runs_of(deployment)) == runs
    assert inbox.counts().ended == (1 if runs == 1 and kind != "RUNNING" else 0)


def test_a_run_that_the_server_has_lost_is_started_again(begin, inbox, api, tmp_path, at_once) -> None:
    name, deployment = api.deploy(SOURCE, str(tmp_path / "out"))
    start = begin(name)
    inbox.add(entries("a"))
    start()
    (run,) = api.runs_of(deployment)
    api.call("DELETE", f"/flow_runs/{run['id']}")
    follow(inbox, start.runs)
    start()
    assert keys_of(api.runs_of(deployment)) == ["a"]


def test_a_deployment_that_restores_another_place_now_is_not_started(begin, inbox, api, tmp_path) -> None:
    name, deployment = api.deploy("s3://archive/elsewhere", str(tmp_path / "out"))
    start = begin(name)
    inbox.add(entries("a"))
    with pytest.raises(ConfigurationError, match="now restores s3://archive/elsewhere, not s3://archive/in"):
        start()
    assert api.runs_of(deployment) == []
    assert inbox.waiting()[0] == 1


def test_a_deployment_that_is_not_ours_is_refused(api) -> None:
    flow = api.call("POST", "/flows/", {"name": "restore-archive"})["id"]
    api.call("POST", "/deployments/", {"name": "no-job", "flow_id": flow, "parameters": {"job": {"source": SOURCE}}})
    with open_runs("restore-archive/no-job") as runs, pytest.raises(ConfigurationError, match="no job with source"):
        runs.deployment()


def test_a_server_that_does_not_answer_is_tried_later(inbox) -> None:
    nowhere = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(nowhere), open_runs("restore-archive/x") as runs:  # type: ignore[arg-type]
        for ask in (runs.deployment, lambda: Runs.ends(runs, ["8f7d2a52-0e33-4d54-9d0a-e1a1c3f3f9b1"])):
            with pytest.raises(TryLaterError, match="the Prefect server: "):
                ask()


def test_there_has_to_be_something_to_watch(tmp_path) -> None:
    nothing = WatchSettings(deployment="restore-archive/x", inbox=tmp_path / "inbox")
    with pytest.raises(ConfigurationError, match="nothing to watch; give --queue"):
        watch(nothing)


def test_without_a_server_nothing_is_started(inbox) -> None:
    refused = pytest.raises(ConfigurationError, match="set PREFECT_API_URL")
    with temporary_settings(restore_defaults={PREFECT_API_URL}), refused, open_runs("restore-archive/x"):
        pass


def test_work_that_fails_for_now_is_repeated_and_told_of() -> None:
    stop, problems, seen = threading.Event(), dict[str, str](), list[dict[str, str]]()

    def step() -> float:
        seen.append(dict(problems))
        if len(seen) == 1:
            raise TryLaterError("nobody there")
        if len(seen) == 3:
            stop.set()
        return 0.0

    repeat("asking", step, stop, problems)
    assert seen == [{}, {"asking": "nobody there"}, {}]


def test_a_bug_ends_the_work_at_once() -> None:
    def step() -> float:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        repeat("asking", step, threading.Event(), {})


def test_key_lists_hold_one_json_string_a_line(begin, inbox, api, tmp_path) -> None:
    name, deployment = api.deploy(SOURCE, str(tmp_path / "out"))
    inbox.add(entries('say "hello"\\', "é\u2028x"))
    begin(name)()
    (run,) = api.runs_of(deployment)
    lines = Path(run["parameters"]["job"]["key_list"]).read_bytes().split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == sorted(['say "hello"\\', "é\u2028x"])
    assert lines[-1] == b""
