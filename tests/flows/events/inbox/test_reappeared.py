"""An object that comes back after its batch has ended is restored again; a repeated event alone starts nothing."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flows.events.inbox.batch_rule import BatchRule
from flows.events.inbox.inbox import Inbox
from flows.events.inbox.records import Batch, Entry
from flows.events.runs.follower import follow
from flows.events.runs.runs import open_runs
from flows.events.runs.starter import Starter
from flows.events.sources.polling import Poller
from flows.events.sources.scope import Scope
from flows.events.sources.sqs import Queue
from pipeline.errors import StoreAccessError
from pipeline.store import open_store
from pipeline.store.s3 import S3Store
from tests.flows.events.conftest import closed, drain, waiting_keys
from tests.flows.events.prefect_api import keys_in

NOON = datetime.now(UTC)


def told(key: str, *, hours: float | None) -> list[Entry]:
    """An event some hours after noon; None: an event without a time."""
    return [Entry(key=key, version="1", at=None if hours is None else NOON + timedelta(hours=hours))]


def ended(inbox: Inbox) -> Batch:
    """Put the waiting hints into a batch, and end its run; return the batch."""
    batch = closed(inbox)
    inbox.started(batch, "run")
    inbox.ended(batch, "completed")
    return batch


def test_a_later_event_after_the_end_of_the_batch_is_another_hint(inbox) -> None:
    inbox.add(told("back", hours=0) + told("there", hours=0))
    first = ended(inbox)
    assert inbox.add(told("back", hours=0) + told("there", hours=-1) + told("there", hours=None)) == 0
    assert inbox.add(told("back", hours=1)) == 1
    assert inbox.add(told("back", hours=1)) == 0
    assert (inbox.counts().waiting, inbox.counts().ended) == (1, 1)
    again = closed(inbox)
    assert inbox.keys_of(again) == ("back",)
    assert again.id != first.id


def test_a_later_event_before_the_run_is_part_of_the_batch(inbox) -> None:
    inbox.add(told("a", hours=0))
    inbox.add(told("a", hours=1))
    ended(inbox)
    assert inbox.waiting()[0] == 0


def test_a_later_event_during_the_run_waits_for_its_end(inbox) -> None:
    inbox.add(told("back", hours=0) + told("there", hours=0))
    batch = closed(inbox)
    inbox.started(batch, "run")
    assert inbox.add(told("back", hours=1)) == 0
    assert inbox.waiting()[0] == 0
    assert inbox.keys_of(batch) == ("back", "there")
    inbox.try_again(batch, seconds=-1)
    (second,) = inbox.to_start()
    inbox.ended(batch, "by somebody who knows the first attempt only")
    assert inbox.waiting()[0] == 0
    inbox.ended(second, "completed")
    assert waiting_keys(inbox) == ["back"]
    assert inbox.add(told("back", hours=1)) == 0


def test_an_event_of_what_a_listing_has_found_before_is_no_other_hint_unless_it_is_later(inbox) -> None:
    inbox.add(told("a", hours=None))
    ended(inbox)
    assert inbox.add(told("a", hours=-1)) == 0
    assert inbox.add(told("a", hours=1)) == 1


def test_an_object_that_comes_back_with_the_same_bytes_is_hinted_at_by_its_event(notified, inbox) -> None:
    queue = Queue.open(notified.queue, inbox=inbox, scope=Scope.of(f"s3://{notified.bucket}/in"))

    notified.put("in/back.png")
    notified.put("in/there.png")
    drain(queue, notified)
    ended(inbox)
    notified.s3.delete_object(Bucket=notified.bucket, Key="in/back.png")
    _next_second()  # moto's events tell no less
    notified.put("in/back.png")
    drain(queue, notified)
    assert waiting_keys(inbox) == ["back.png"]


def _next_second() -> None:
    second = int(datetime.now(UTC).timestamp())
    while int(datetime.now(UTC).timestamp()) == second:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("back.png", "there.png"):
        (folder / name).write_bytes(b"x")
    return folder


@pytest.fixture
def poll(folder: Path, inbox: Inbox) -> Poller:
    return Poller(source=open_store(str(folder), writable=False), inbox=inbox, seconds=7, settle=False)


def test_a_file_that_was_gone_for_a_listing_is_hinted_at_when_it_comes_back(poll, folder, inbox) -> None:
    poll()
    ended(inbox)
    (folder / "back.png").rename(folder.parent / "away.png")
    poll()
    (folder.parent / "away.png").rename(folder / "back.png")
    poll()
    assert waiting_keys(inbox) == ["back.png"]
    poll()
    assert inbox.waiting()[0] == 0


def test_what_is_in_an_unfinished_batch_is_not_forgotten(poll, folder, inbox) -> None:
    poll()
    batch = closed(inbox)
    (folder / "back.png").unlink()
    (folder / "new.png").write_bytes(b"x")
    poll()
    assert inbox.keys_of(batch) == ("back.png", "there.png")
    assert waiting_keys(inbox) == ["new.png"]


def test_a_disk_that_is_not_mounted_lets_nothing_be_forgotten(poll, folder, inbox) -> None:
    poll()
    ended(inbox)
    folder.rename(folder.parent / "disk")
    folder.mkdir()
    poll()
    folder.rmdir()
    (folder.parent / "disk").rename(folder)
    poll()
    assert inbox.waiting()[0] == 0


def test_a_listing_that_breaks_off_lets_nothing_be_forgotten(notified, inbox) -> None:
    notified.put("in/a.png")
    notified.put("in/b.png")
    store = open_store(f"s3://{notified.bucket}/in", writable=False)
    assert isinstance(store, S3Store)
    pages = list[str]()

    def one_a_page(params: dict[str, Any], **_: object) -> None:
        params["MaxKeys"] = 1

    def breaks_off(**_: object) -> None:
        pages.append("asked for")
        if len(pages) == 2:
            answer = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
            raise ClientError(answer, "ListObjectsV2")

    poll = Poller(source=store, inbox=inbox, seconds=7, settle=False)
    poll()
    ended(inbox)
    store.client.meta.events.register("provide-client-params.s3.ListObjectsV2", one_a_page)
    store.client.meta.events.register("before-call.s3.ListObjectsV2", breaks_off)
    with pytest.raises(StoreAccessError):
        poll()
    poll()
    assert len(pages) > 3
    assert inbox.waiting()[0] == 0


def test_what_came_in_since_a_listing_began_is_not_forgotten_by_it(inbox) -> None:
    inbox.add(told("before", hours=None) + told("there", hours=None))
    ended(inbox)
    began = time.time()
    inbox.begin_listing()
    inbox.unseen(told("there", hours=None))
    inbox.add(told("behind what was listed", hours=None))
    ended(inbox)
    assert inbox.end_listing(began=began) == 1
    everything = told("before", hours=None) + told("there", hours=None) + told("behind what was listed", hours=None)
    assert inbox.unseen(everything) == told("before", hours=None)


def start(inbox: Inbox, name: str, destination: Path) -> None:
    """Start the due batches once, as a watcher does."""
    with open_runs(name) as runs:
        starter = Starter(
            inbox=inbox,
            runs=runs,
            destination=open_store(str(destination), writable=True),
            rule=BatchRule(size=100, seconds=0),
            most_runs=100,
        )
        starter()


def test_a_new_inbox_of_a_deployment_that_writes_elsewhere_now_starts_runs_of_its_own(api, tmp_path) -> None:
    name, deployment = api.deploy("s3://archive/in", str(tmp_path / "o1"))
    for folder in ("o1", "o2"):
        job = {"source": "s3://archive/in", "destination": str(tmp_path / folder), "result": {"steps": 3}}
        api.call("PATCH", f"/deployments/{deployment}", {"parameters": {"job": job}})
        with closing(Inbox.open(tmp_path / f"{folder}.sqlite3", source="s3://archive/in", deployment=name)) as inbox:
            inbox.add(told("a", hours=0))
            start(inbox, name, tmp_path / folder)
        for run in api.runs_of(deployment):
            api.set_state(run["id"], "COMPLETED")
    lists = sorted(run["parameters"]["job"]["key_list"] for run in api.runs_of(deployment))
    assert [Path(place).relative_to(tmp_path).parts[0] for place in lists] == ["o1", "o2"]
    assert [keys_in(run) for run in api.runs_of(deployment)] == [["a"], ["a"]]


def test_a_hint_that_comes_again_gets_a_run_of_its_own(api, tmp_path) -> None:
    name, deployment = api.deploy("s3://archive/in", str(tmp_path / "out"))
    with closing(Inbox.open(tmp_path / "inbox.sqlite3", source="s3://archive/in", deployment=name)) as inbox:
        for hours in (0, 0, 1, 1):
            inbox.add(told("a", hours=hours))
            start(inbox, name, tmp_path / "out")
            for run in api.runs_of(deployment):
                api.set_state(run["id"], "COMPLETED")
            with open_runs(name) as runs:
                follow(inbox, runs)
    assert [keys_in(run) for run in api.runs_of(deployment)] == [["a"], ["a"]]
