"""A run that is given a list of keys does those, and the job is the same job."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError
from pipeline.job.job import open_job, plan_job, summarise
from pipeline.planning.key_list import read_key_list, write_key_list
from pipeline.store import open_store
from tests.pipeline.archive import assert_kept, image_bytes, put, restore_job, snapshot
from tests.pipeline.jobs import run_job
from tests.pipeline.plans import generations, plan_folder


def keys_of(shards: object) -> set[str]:
    return {ref.key for shard in shards for ref in shard.images}  # type: ignore[attr-defined]


@given(st.sets(st.text(), max_size=20))
@settings(deadline=None)
def test_any_keys_come_back_from_a_list(tmp_path_factory, keys) -> None:
    store = open_store(str(tmp_path_factory.mktemp("lists")), writable=True)
    place = write_key_list(store, "0123456789abcdef", keys)
    assert read_key_list(place) == tuple(sorted(keys))


def test_a_list_is_written_once_below_the_destinations_records(tmp_path) -> None:
    store = open_store(str(tmp_path), writable=True)
    place = write_key_list(store, "b1", ["b", "a"])
    assert place == str(tmp_path / ".deqir/events/b1.jsonl")
    before = snapshot(tmp_path)
    assert write_key_list(store, "b1", ["b", "a"]) == place
    assert snapshot(tmp_path) == before


def test_a_list_that_is_none_is_named(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match=r"keys\.jsonl cannot be read"):
        read_key_list(str(tmp_path / "keys.jsonl"))
    with pytest.raises(ConfigurationError, match=r"in /$"):
        read_key_list("/no-such-keys.jsonl")  # not in the current folder
    for number, text in ((1, "album/photo.jpg\n"), (2, '"a.jpg"\n["b.jpg"]\n'), (3, '"a"\n\n{')):
        (tmp_path / "keys.jsonl").write_text(text)
        with pytest.raises(ConfigurationError, match=rf"line {number} of the list of keys .*keys\.jsonl"):
            read_key_list(str(tmp_path / "keys.jsonl"))


def test_only_listed_keys_are_planned_and_what_is_gone_is_no_input(source, destination) -> None:
    for name in ("a.png", "b.png", "sub/c.png", "notes.txt"):
        put(source, name, b"x")
    (source / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    put(source, ".deqir/77/job.json", b"another job's")
    odd = ["", "sub", "/a.png", "sub//c.png", "../a.png", "x" * 300, "half\ud800.png", ".deqir/77/job.json"]
    listed = ["a.png", "gone.png", "notes.txt", os.fsdecode(b"caf\xe9.png"), *odd]
    shards = plan_folder(source, destination, keys=listed)
    assert keys_of(shards) == {"a.png", "notes.txt", r"bytes://caf\xe9.png"}
    assert plan_folder(source, destination, keys=listed) == shards
    assert generations(destination) == ["000000.parquet"]
    assert plan_folder(source, destination, keys=["gone.png"]) == ()
    assert plan_folder(source, destination, keys=[]) == ()
    assert keys_of(plan_folder(source, destination)) == keys_of(shards) | {"b.png", "sub/c.png"}
    assert generations(destination) == ["000000.parquet", "000001.parquet"]


def test_a_listed_key_that_is_planned_already_brings_its_shard(source, destination) -> None:
    for number in range(6):
        put(source, f"{number}.png", b"x")
    shards = plan_folder(source, destination)
    assert plan_folder(source, destination, keys=["4.png"]) == shards[1:]
    put(source, "4.png", b"another version")
    (again,) = plan_folder(source, destination, keys=["4.png"])
    assert [(ref.key, ref.size) for ref in again.images] == [("4.png", 15)]


@pytest.fixture
def job(tmp_path: Path, tiny_prior: str) -> RestoreJob:
    for number in range(6):
        put(tmp_path / "source", f"{number}.png", image_bytes(number))
    return restore_job(tmp_path / "source", tmp_path / "destination", tiny_prior)


def with_keys(job: RestoreJob, *keys: str) -> RestoreJob:
    path = Path(job.source).parent / f"keys-{len(keys)}.jsonl"
    path.write_text("".join(json.dumps(key) + "\n" for key in keys))
    return job.model_copy(update={"key_list": str(path)})


def test_runs_with_lists_and_one_without_are_one_job_that_does_everything_once(job, tmp_path) -> None:
    id = run_job(with_keys(job, "1.png", "3.png")).id
    assert summarise(job.destination, id).counts.restored == 2
    planned = plan_job(open_job(with_keys(job, "1.png", "3.png", "5.png")))
    assert (planned.inputs, planned.done, len(planned.pending)) == (3, 2, 1)
    before = snapshot(tmp_path / "destination")
    assert run_job(job).id == id
    assert summarise(job.destination, id).counts.restored == 6
    assert_kept(before, tmp_path / "destination")
    for record in (tmp_path / "destination").glob(".deqir/*/job.json"):
        assert "key_list" not in json.loads(record.read_text())["job"]


def test_a_missing_list_stops_the_run_before_anything_is_planned(job, tmp_path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.jsonl cannot be read"):
        run_job(job.model_copy(update={"key_list": str(tmp_path / "none.jsonl")}))
    assert not list((tmp_path / "destination").rglob("plan"))
