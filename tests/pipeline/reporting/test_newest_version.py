"""A job is counted by its inputs as they are now: a version that was replaced keeps its row and counts no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import RestoreJob
from pipeline.job.job import open_job, plan_job
from tests.pipeline.archive import image_bytes, put, restore_job, write_archive
from tests.pipeline.jobs import again, counts, failures, run_job, summary_of
from tests.pipeline.rows import read_manifest

LARGE = (40, 40)


@pytest.fixture
def settings(source: Path, destination: Path, tiny_prior: str) -> RestoreJob:
    """Two small images and a torn file; one of 40 pixels a side does not fit the limit."""
    write_archive(source, 2)
    put(source, "torn.png", b"not an image")
    return restore_job(source, destination, tiny_prior, runtime={"max_pixels": 3000, "shard_size": 1})


def test_a_failure_that_was_replaced_by_an_image_that_is_restored_is_none_any_more(settings, source) -> None:
    job = run_job(settings)
    assert (counts(job), failures(job)) == ((3, 2, 1, 0), ["torn.png"])
    put(source, "torn.png", image_bytes(5))
    assert (counts(job), failures(job)) == ((3, 2, 1, 0), ["torn.png"])
    run_job(settings)
    assert (counts(job), failures(job)) == ((3, 3, 0, 1), [])
    assert summary_of(job).restored_since == 0
    ends = sorted((row.source_key, row.status) for row in read_manifest(settings.destination, job.id))
    assert ends[2:] == [("torn.png", "failed"), ("torn.png", "restored")]


def test_until_the_new_version_was_tried_the_old_one_counts(settings, source) -> None:
    job = run_job(settings)
    put(source, "torn.png", image_bytes(5))
    assert plan_job(job).waiting == 1
    assert (counts(job), failures(job)) == ((3, 2, 1, 0), ["torn.png"])


@pytest.mark.parametrize("backwards", [False, True])
def test_the_plan_tells_which_version_is_newer_whichever_shard_was_done_last(settings, source, backwards) -> None:
    """The version that an interrupted run left over is gone from the source when its shard is done."""
    plan_job(open_job(settings))
    put(source, "torn.png", image_bytes(5))
    put(source, "album/00.png", b"torn, too")
    job = run_job(settings, slice(None, None, -1 if backwards else 1))
    rows = read_manifest(settings.destination, job.id)
    assert sum(row.error_type == "SourceChangedError" for row in rows) == 2
    assert (counts(job), failures(job)) == ((3, 2, 1, 2), ["album/00.png"])


def test_a_new_version_that_fails_is_a_failure_though_the_old_one_was_restored(settings, source) -> None:
    run_job(settings)
    put(source, "album/01.png", image_bytes(1, size=LARGE))
    job = run_job(settings)
    assert (counts(job), failures(job)) == ((3, 1, 2, 1), ["album/01.png", "torn.png"])
    retry = run_job(again(settings, max_pixels=10_000))
    assert (summary_of(job).restored_since, failures(job)) == (1, ["torn.png"])
    assert (counts(retry), failures(retry)) == ((2, 1, 1, 0), ["torn.png"])


def test_a_failure_that_was_replaced_by_one_that_a_retry_restored_is_none_any_more(settings, source) -> None:
    run_job(settings)
    put(source, "torn.png", image_bytes(22, size=LARGE))
    job = run_job(settings)
    assert (counts(job), failures(job)) == ((3, 2, 1, 1), ["torn.png"])
    run_job(again(settings, max_pixels=10_000))
    assert (summary_of(job).restored_since, failures(job)) == (1, [])


def test_what_a_retry_could_not_do_and_what_was_then_replaced_counts_no_more_for_the_retry(settings, source) -> None:
    run_job(settings)
    retry = run_job(again(settings))
    assert failures(retry) == ["torn.png"]
    put(source, "torn.png", image_bytes(5))
    run_job(settings)
    assert (summary_of(retry).restored_since, failures(retry)) == (1, [])


def test_a_retry_is_not_taken_for_done_by_an_older_version(settings, source) -> None:
    run_job(settings)
    put(source, "album/01.png", b"torn, too")
    run_job(settings)
    retry = run_job(again(settings))
    assert (summary_of(retry).restored_since, failures(retry)) == (0, ["album/01.png", "torn.png"])
