"""A plan gives every version of every input one place, once, whoever plans and however often."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pipeline.config import OutputFormat
from pipeline.errors import ConfigurationError
from pipeline.keys import Layout
from pipeline.planning.plan import plan
from pipeline.shards import Shard
from pipeline.store import Store, open_store
from tests.pipeline.archive import put, snapshot
from tests.pipeline.plans import LAYOUT, by_key, generations, plan_folder


@pytest.fixture
def planned(source: Path, destination: Path) -> Callable[..., tuple[Shard, ...]]:
    """Plans the job from `source` to `destination`; takes `plan`'s settings."""
    return partial(plan_folder, source, destination)


def test_inputs_are_cut_into_shards_in_the_order_of_their_keys(source, planned) -> None:
    for name in ("d", "a", "c", "b", "e"):
        put(source, f"{name}.jpg", name.encode())
    shards = planned(shard_size=2)
    assert [[ref.key for ref in shard.images] for shard in shards] == [
        ["a.jpg", "b.jpg"],
        ["c.jpg", "d.jpg"],
        ["e.jpg"],
    ]
    listed = {info.key: info for info in open_store(str(source), writable=False).list()}
    for key, ref in by_key(shards).items():
        assert (ref.etag, ref.size) == (listed[key].etag, 1)
        assert (ref.output_key, ref.refusal) == (key.replace(".jpg", ".png"), None)


def test_planning_again_gives_the_same_shards_and_writes_nothing(source, destination, planned) -> None:
    for number in range(7):
        put(source, f"{number}.png", b"x")
    put(source, "notes.txt", b"x")
    shards = planned()
    before = snapshot(destination)
    assert planned(shard_size=100, output_format=OutputFormat.JPEG) == shards
    assert [shard.id for shard in planned()] == [shard.id for shard in shards]
    assert snapshot(destination) == before
    assert generations(destination) == ["000000.parquet"]


def test_shards_of_the_same_inputs_have_the_same_ids_in_every_job(source, tmp_path) -> None:
    for number in range(5):
        put(source, f"{number}.png", b"x")
    ids = [
        [
            shard.id
            for shard in plan(
                open_store(str(source), writable=False),
                open_store(str(tmp_path / name), writable=True),
                Layout(name),
                shard_size=2,
                output_format=OutputFormat.PNG,
            )
        ]
        for name in ("one", "other")
    ]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


def test_what_is_new_makes_a_generation_of_its_own(source, destination, planned) -> None:
    for number in range(4):
        put(source, f"{number}.png", b"x")
    first = planned()
    before = snapshot(destination)
    put(source, "0a.png", b"x")
    put(source, "2.png", b"another version")
    (source / "3.png").unlink()
    second = planned()
    assert second[: len(first)] == first
    assert [[(ref.key, ref.size) for ref in shard.images] for shard in second[len(first) :]] == [
        [("0a.png", 1), ("2.png", 15)]
    ]
    after = snapshot(destination)
    assert {path: after[path] for path in before} == before
    assert generations(destination) == ["000000.parquet", "000001.parquet"]
    assert planned() == second


def test_a_new_version_gets_an_output_of_its_own(source, planned) -> None:
    put(source, "a.png", b"first")
    outputs = []
    for version in (b"first", b"the second", b"and the third"):
        put(source, "a.png", version)
        shards = planned()
        outputs = [ref.output_key for shard in shards for ref in shard.images]
    assert outputs == ["a.png", "a.png.png", "a.png.2.png"]


def test_a_version_that_comes_back_is_known(source, destination, planned) -> None:
    put(source, "a.png", b"first")
    status = (source / "a.png").stat()
    planned()
    put(source, "a.png", b"the second")
    shards = planned()
    put(source, "a.png", b"first")
    os.utime(source / "a.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert planned() == shards


def test_inputs_with_one_name_keep_their_extensions_across_generations(source, planned) -> None:
    put(source, "a.jpg", b"x")
    put(source, "b.jpg", b"x")
    put(source, "b.webp", b"x")
    planned()
    put(source, "a.png", b"x")
    outputs = {key: ref.output_key for key, ref in by_key(planned()).items()}
    assert outputs == {"a.jpg": "a.png", "a.png": "a.png.png", "b.jpg": "b.jpg.png", "b.webp": "b.webp.png"}


def test_what_is_no_image_is_skipped_with_a_reason_and_what_is_unsafe_fails_by_name(source, planned) -> None:
    put(source, "notes.txt", b"x")
    put(source, "Makefile", b"x")
    put(source, "empty.jpg", b"")
    put(source, "line\nbreak.png", b"x")
    (source / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    (source / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"x")
    put(source, "a" * 251 + ".png", b"x")
    put(source, "a" * 251 + ".jpg", b"x")
    put(source, ".deqir/77/job.json", b"an earlier job's")
    shards = planned(shard_size=100)
    refs = by_key(shards)
    skipped = {key for key, ref in refs.items() if ref.refusal is not None and not ref.refusal_type}
    unsafe = {key for key, ref in refs.items() if ref.refusal_type == "UnsafeKeyError"}
    assert skipped == {"notes.txt", "Makefile", r"bytes://caf\xe9.txt"}
    assert unsafe == {"line\nbreak.png", r"bytes://caf\xe9.png", "a" * 251 + ".png", "a" * 251 + ".jpg"}
    assert all(ref.refusal and ref.output_key is None for ref in refs.values() if ref.key in skipped | unsafe)
    assert refs["empty.jpg"].output_key == "empty.png"
    assert len(refs) == 8
    assert planned() == shards


class Bucket:
    """A source with keys that no folder has; an odd name never stops its listing."""

    url = "s3://bucket"

    def __init__(self, store: Store, keys: list[str]) -> None:
        self.store, self.keys = store, keys

    def list(self, prefix: str = ""):
        (info,) = self.store.list()
        yield from (replace(info, key=key) for key in self.keys)


def test_odd_keys_of_buckets_end_as_rows_and_never_stop_the_plan(source, destination) -> None:
    put(source, "only.png", b"x")
    bucket = Bucket(
        open_store(str(source), writable=False),
        ["album/", "/a.png", "a//b.png", "a/../b.png", "photo#12.png", "e\u0301.png", "é.png", "bytes://x.png"],
    )
    store = open_store(str(destination), writable=True)
    settings = {"shard_size": 100, "output_format": OutputFormat.PNG}
    shards = plan(bucket, store, LAYOUT, **settings)  # type: ignore[arg-type]
    refs = by_key(shards)
    assert refs["album/"].refusal == "a folder's marker, not a file"
    unsafe = {key for key, ref in refs.items() if ref.refusal_type == "UnsafeKeyError"}
    assert unsafe == {"/a.png", "a//b.png", "a/../b.png", "bytes://bytes://x.png"}
    outputs = {ref.output_key for ref in refs.values() if ref.refusal is None}
    assert outputs == {"photo#12.png", "e\u0301.png", "é.png"}
    assert plan(bucket, store, LAYOUT, **settings) == shards  # type: ignore[arg-type]


def test_an_empty_source_is_an_empty_plan(destination, planned) -> None:
    assert planned() == ()
    assert generations(destination) == []


def test_a_damaged_generation_is_named(source, destination, planned) -> None:
    put(source, "a.jpg", b"x")
    planned()
    path = destination / LAYOUT.plan(0)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigurationError, match=r"000000\.parquet is not a plan"):
        planned()


def test_each_generation_is_one_line_in_the_log(source, planned, caplog) -> None:
    put(source, "a.jpg", b"x")
    put(source, "b.txt", b"x")
    with caplog.at_level(logging.INFO, logger="deqir.plan"):
        planned()
        planned()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"plan written job={LAYOUT.job_id} generation=0 inputs=2 refused=1 shards=1"
