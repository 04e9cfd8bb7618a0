"""What a Mac writes beside each file (._photo.jpg) is no image to anything that looks for images by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ConfigurationError
from pipeline.job.job import open_job, plan_job, summarise
from pipeline.keys import Layout
from pipeline.planning.plan import create_plan
from pipeline.shards import ImageRef
from pipeline.store import open_store
from pipeline.tools.degrade import png_names
from pipeline.tools.estimate import estimate
from tests.pipeline.archive import image_bytes, put, restore_job, snapshot, write_archive
from tests.pipeline.files import saved
from tests.pipeline.jobs import ends, failures, run_job
from tests.pipeline.plans import by_key, generations, plan_folder
from tests.pipeline.shard_runs import run, worker_of

FORK = b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(4080)
REASON = "a Mac's resource fork, no image"


def with_forks(source: Path, count: int = 2, **image: Any) -> list[str]:
    """Write some images, each with what a Mac writes beside it; returns the images' keys."""
    keys = write_archive(source, count, **image)
    for key in keys:
        put(source, fork_of(key), FORK)
    return keys


def fork_of(key: str) -> str:
    folder, name = key.split("/")
    return f"{folder}/._{name}"


def test_a_job_skips_it_and_its_images_keep_the_names_of_their_outputs(opened, source, destination) -> None:
    keys = with_forks(source)
    put(source, "._notes.txt", FORK)
    put(source, "._folder/c.png", image_bytes(3))
    job, worker, shards = opened(runtime={"shard_size": 100})
    rows = {row.source_key: row for row in run(worker, shards[0])}
    forks = {*map(fork_of, keys), "._notes.txt"}
    assert {key for key, row in rows.items() if row.status == "restored"} == {*keys, "._folder/c.png"}
    assert {(rows[key].status, rows[key].error_type, rows[key].error) for key in forks} == {("skipped", None, REASON)}
    assert {key for key in snapshot(destination) if not key.startswith(".deqir")} == {*keys, "._folder/c.png"}
    summary = summarise(job.config.destination, job.id)
    assert (summary.counts.restored, summary.counts.skipped, summary.counts.failed, summary.failures) == (3, 3, 0, ())


def test_estimates_and_test_archives_are_made_of_images_alone(source) -> None:
    keys = with_forks(source)
    assert [(found.key, found.error) for found in estimate(str(source))] == [(key, None) for key in keys]
    assert list(png_names(open_store(str(source), writable=False))) == keys


def test_it_belongs_to_no_image_and_is_named_as_no_example(source, destination, tiny_prior) -> None:
    """Neither those of the sources nor those of the masks make two places match, and each image has its own mask."""
    keys = with_forks(source, size=(8, 8))
    masks = source.parent / "masks"
    for key in keys:
        put(masks, fork_of(key), FORK)
    put(masks, "x/z.png", image_bytes(5, size=(8, 8)))
    job = restore_job(source, destination, tiny_prior, degradation={"task": "inpaint", "masks": str(masks)})
    with pytest.raises(ConfigurationError, match=r"a key there is x/z\.png, an image's is album/00\.png"):
        open_job(job)
    for key in keys:
        put(masks, key, saved(np.array([[0, 0, 255, 0]] * 4, np.uint8).repeat(2, 0).repeat(2, 1)))
    (shard,) = plan_job(opened_job := open_job(job)).shards
    assert sorted(row.status for row in run(worker_of(opened_job), shard)) == ["restored"] * 2 + ["skipped"] * 2


def test_what_an_earlier_version_planned_stays_as_it_was_planned(source, destination) -> None:
    """One row for each, as before: no second one, and no output's key is given away twice."""
    with_forks(source, 1)
    listed = {info.key: info for info in open_store(str(source), writable=False).list()}
    refs = [ImageRef(key=key, etag=info.etag, size=info.size, output_key=key) for key, info in sorted(listed.items())]
    layout = Layout("0123456789abcdef")
    create_plan(open_store(str(destination), writable=True), layout, refs, shard_size=3)
    before = snapshot(destination)
    assert by_key(plan_folder(source, destination)) == {ref.key: ref for ref in refs}
    assert snapshot(destination) == before
    put(source, fork_of("album/01.png"), FORK)
    assert by_key(plan_folder(source, destination))[fork_of("album/01.png")].refusal == REASON
    assert generations(destination) == ["000000.parquet", "000001.parquet"]


def test_a_row_that_failed_in_an_earlier_version_counts_until_the_file_is_deleted_and_a_retry_looks(
    source, destination, tiny_prior
) -> None:
    (key,) = with_forks(source, 1)
    settings = restore_job(source, destination, tiny_prior)
    job = open_job(settings)
    listed = open_store(str(source), writable=False).list()
    refs = [ImageRef(key=info.key, etag=info.etag, size=info.size, output_key=info.key) for info in listed]
    create_plan(open_store(str(destination), writable=True), job.layout, refs, shard_size=4)

    run_job(settings)
    assert ends(job) == {key: "restored", fork_of(key): "failed"}
    assert run_job(settings).id == job.id
    assert failures(job) == [fork_of(key)]
    (source / fork_of(key)).unlink()
    run_job(settings.model_copy(update={"retry": True}))
    assert failures(job) == []
