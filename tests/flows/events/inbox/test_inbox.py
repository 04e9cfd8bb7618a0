"""The inbox on a real disk: each hint is in a single batch, even if the process is killed."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.events.inbox.batch_rule import BatchRule
from flows.events.inbox.inbox import Inbox
from flows.events.inbox.records import Batch, Entry
from pipeline.errors import ConfigurationError
from tests.flows.events.conftest import closed, entries, open_inbox


@pytest.mark.parametrize(
    ("waiting", "oldest", "due"),
    [(0, 0.0, 0), (1, 29.9, 0), (1, 30.0, 1), (9, 31.0, 9), (10, 0.0, 10), (25, 0.0, 10), (25, 99.0, 10)],
)
def test_a_batch_is_due_when_it_is_full_or_old(waiting, oldest, due) -> None:
    assert BatchRule(size=10, seconds=30).due(waiting=waiting, oldest=oldest) == due


def test_a_hint_is_kept_once_and_another_version_is_another_hint(inbox) -> None:
    assert inbox.add(entries("a", "b", "a")) == 2
    assert inbox.add(entries("b", "c")) == 1
    assert inbox.add(entries("a", version="2")) == 1
    assert inbox.unseen(entries("a", "d")) == entries("d")
    assert inbox.waiting()[0] == 4


def test_a_hint_that_comes_again_after_its_run_is_no_new_one(inbox) -> None:
    inbox.add(entries("a"))
    batch = closed(inbox)
    inbox.started(batch, "run")
    assert inbox.add(entries("a")) == 0
    inbox.ended(batch, "completed")
    assert inbox.add(entries("a")) == 0
    assert inbox.waiting()[0] == 0


def test_a_key_of_two_versions_is_listed_once(inbox) -> None:
    inbox.add(entries("b", "a") + entries("a", version="2"))
    assert inbox.keys_of(closed(inbox)) == ("a", "b")


def test_the_hints_that_waited_longest_go_first(inbox) -> None:
    inbox.add(entries("c"))
    inbox.add(entries("a"))
    inbox.add(entries("b"))
    assert inbox.keys_of(closed(inbox, 2)) == ("a", "c")
    assert inbox.keys_of(closed(inbox, 2)) == ("b",)


def test_no_batch_is_closed_when_another_watcher_was_faster(inbox, tmp_path) -> None:
    inbox.add(entries("a"))
    with contextlib.closing(open_inbox(tmp_path)) as other:
        assert other.close_batch(10) is not None
    assert inbox.close_batch(10) is None
    assert len(inbox.to_start()) == 1


def test_a_batch_goes_through_its_states(inbox) -> None:
    inbox.add([Entry(key="a", version="1", at=datetime(2026, 11, 25, tzinfo=UTC)), *entries("b")])
    batch = closed(inbox)
    assert inbox.to_start() == (batch,)
    assert inbox.happened(batch) == datetime(2026, 11, 25, tzinfo=UTC).timestamp()
    assert (inbox.counts().batched, inbox.counts().waiting) == (2, 0)
    inbox.started(batch, "run-1")
    assert inbox.to_start() == ()
    assert inbox.running() == (Batch(id=batch.id, size=2, attempt=1, run="run-1"),)
    inbox.try_again(inbox.running()[0], seconds=-1)
    (again,) = inbox.to_start()
    assert (again.id, again.attempt, again.run) == (batch.id, 2, None)
    inbox.try_again(batch, seconds=-1)  # by somebody who knows the first attempt only
    assert inbox.to_start() == (again,)
    inbox.try_again(again, seconds=3600)
    assert inbox.to_start() == ()
    assert inbox.counts().batched == 2


def test_the_same_hints_in_another_inbox_are_another_batch_and_a_batch_keeps_its_id(tmp_path) -> None:
    ids = set()
    for name in ("one", "two"):
        with contextlib.closing(open_inbox(tmp_path / name)) as inbox:
            inbox.add(entries("a", "b"))
            ids.add(closed(inbox).id)
        with contextlib.closing(open_inbox(tmp_path / name)) as inbox:
            assert {batch.id for batch in inbox.to_start()} <= ids
    assert len(ids) == 2


def test_what_nobody_could_read_is_kept_and_counted(inbox, tmp_path) -> None:
    for body in (b"\xff" * 100_000, b"\xff" * 100_000, b"other"):
        inbox.bury(body, origin="queue", reason="not JSON")
    assert inbox.counts().dead_letters == 2
    with contextlib.closing(sqlite3.connect(tmp_path / "inbox.sqlite3")) as reader:
        kept = reader.execute("SELECT times, reason, length(body) FROM dead_letters ORDER BY times").fetchall()
    assert kept == [(1, "not JSON", 5), (2, "not JSON", 65536)]


def test_an_inbox_belongs_to_one_source_and_deployment(inbox, tmp_path) -> None:
    path = tmp_path / "inbox.sqlite3"
    for source, deployment in (("s3://archive/other", "restore-archive/test"), ("s3://archive/in", "a/b")):
        with pytest.raises(ConfigurationError, match=r"is the inbox of restore-archive/test on s3://archive/in"):
            Inbox.open(path, source=source, deployment=deployment)


def test_a_file_that_is_no_inbox_is_named_and_left_alone(tmp_path) -> None:
    path = tmp_path / "inbox.sqlite3"
    path.write_bytes(b"not a database, but a file of some length" * 100)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"inbox\.sqlite3 cannot be the inbox"):
        open_inbox(tmp_path)
    assert path.read_bytes() == before
    with pytest.raises(ConfigurationError, match="cannot be the inbox"):
        Inbox.open(Path("/proc/nowhere/inbox"), source="s", deployment="d")


def test_threads_and_processes_may_write_at_once(inbox, tmp_path) -> None:
    with contextlib.closing(open_inbox(tmp_path)) as other:
        work = [
            threading.Thread(target=each.add, args=([Entry(key=f"{n}", version="1")],))
            for n in range(40)
            for each in (inbox, other)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
    assert inbox.waiting()[0] == 40


KEYS = st.text(max_size=8)  # with halves of surrogate pairs, as in names that are not UTF-8
ENTRY = st.builds(Entry, key=KEYS, version=st.sampled_from(["1", "2", "\udcff"]))
STEP = st.lists(ENTRY, max_size=5) | st.integers(1, 4)


@given(st.lists(STEP, max_size=25))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_hint_is_in_one_batch_after_any_history_and_restart(tmp_path_factory, history) -> None:
    folder = tmp_path_factory.mktemp("inbox")
    told: set[Entry] = set()
    listed: list[str] = []
    for step in history:
        with contextlib.closing(open_inbox(folder)) as inbox:
            if isinstance(step, int):
                if inbox.waiting()[0]:
                    listed += inbox.keys_of(closed(inbox, step))
            else:
                assert inbox.add(step) == len(set(step) - told)
                told |= set(step)
    with contextlib.closing(open_inbox(folder)) as inbox:
        while inbox.waiting()[0]:
            listed += inbox.keys_of(closed(inbox, 3))
        assert inbox.counts().batched == len(told)
        assert sum(batch.size for batch in inbox.to_start()) == len(told)
        assert set(listed) == {entry.key for entry in told}
