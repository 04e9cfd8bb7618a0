"""A listing of a folder or bucket finds the objects without an event."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.events.inbox.inbox import Inbox
from flows.events.sources.messages import Hint
from flows.events.sources.polling import Poller
from flows.events.sources.scope import Scope
from pipeline.store import open_store
from tests.flows.events.conftest import waiting_keys
from tests.pipeline.archive import put


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "in"


@pytest.fixture
def poll(folder: Path, inbox: Inbox) -> Poller:
    folder.mkdir()
    return Poller(source=open_store(str(folder), writable=False), inbox=inbox, seconds=7, settle=True)


def test_a_file_is_hinted_at_when_it_has_not_changed_between_two_listings(poll, folder, inbox) -> None:
    put(folder, "a.png", b"whole")
    put(folder, "sub/b.png", b"begun")
    assert poll() == 7
    assert waiting_keys(inbox) == []
    put(folder, "sub/b.png", b"begun and written on")
    poll()
    assert waiting_keys(inbox) == ["a.png"]
    poll()
    assert waiting_keys(inbox) == ["sub/b.png"]
    poll()
    poll()
    assert waiting_keys(inbox) == []


def test_a_file_that_is_replaced_is_hinted_at_again(poll, folder, inbox) -> None:
    put(folder, "a.png", b"one")
    poll(), poll()
    assert waiting_keys(inbox) == ["a.png"]
    put(folder, "a.png", b"other")
    poll(), poll()
    assert waiting_keys(inbox) == ["a.png"]


def test_the_records_of_a_job_that_writes_to_the_source_are_no_new_objects(poll, folder, inbox) -> None:
    for key in (
        ".deqir/0123/manifest/a.parquet",
        ".deqir/0123/samples/b.png/sample-2.png",
        "b.png",
        "sub/.deqir/c.png",
    ):
        put(folder, key, b"x")
    poll(), poll()
    assert waiting_keys(inbox) == ["b.png", "sub/.deqir/c.png"]


def test_any_name_is_kept_as_it_is(poll, folder, inbox) -> None:
    names = [b"caf\xe9.png", "café.png".encode(), b"line\nbreak.png", b"%41+b.png"]
    for name in names:
        (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).write_bytes(b"x")
    poll(), poll()
    assert sorted(map(os.fsencode, waiting_keys(inbox))) == sorted(names)


def test_what_an_event_told_of_is_not_found_again_by_listing(notified, inbox) -> None:
    notified.put("in/told.png")
    notified.put("in/missed.png")
    notified.put("out/result.png")
    source = f"s3://{notified.bucket}/in"
    etag = notified.s3.head_object(Bucket=notified.bucket, Key="in/told.png")["ETag"]
    hint = Hint(bucket=notified.bucket, key="in/told.png", version=etag.strip('"'), at=None)
    inbox.add(Scope.of(source).entries([hint]))
    poll = Poller(source=open_store(source, writable=False), inbox=inbox, seconds=1, settle=False)
    assert waiting_keys(inbox) == ["told.png"]
    poll()
    assert waiting_keys(inbox) == ["missed.png"]
    poll()
    assert waiting_keys(inbox) == []
