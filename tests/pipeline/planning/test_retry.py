"""Trying again what failed: new jobs with their own rows, and not a byte of the old ones changed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError
from pipeline.job.job import find_jobs, open_job, plan_job, recorded_job, run_shards
from pipeline.planning.retry import base_of
from tests.pipeline.archive import assert_kept, image_bytes, put, restore_job, snapshot, write_archive
from tests.pipeline.jobs import again, ends, failures, run_job, summary_of
from tests.pipeline.rows import read_manifest


@pytest.fixture
def settings(tmp_path: Path, tiny_prior: str) -> RestoreJob:
    """Five small images, two large ones that do not fit the limit, a torn file, a taken output."""
    write_archive(tmp_path / "source", 5)
    put(tmp_path / "source", "large/a.png", image_bytes(20, size=(40, 40)))
    put(tmp_path / "source", "large/b.png", image_bytes(21, size=(40, 40)))
    put(tmp_path / "source", "torn.jpg", b"not an image")
    put(tmp_path / "destination", "album/00.png", b"somebody else's")
    return restore_job(tmp_path / "source", tmp_path / "destination", tiny_prior, runtime={"max_pixels": 3000})


def test_a_retry_does_what_failed_and_nothing_else_and_changes_nothing_that_is_there(settings, tmp_path) -> None:
    first = run_job(settings)
    assert Counter(ends(first).values()) == {"restored": 4, "failed": 3, "conflict": 1}
    put(tmp_path / "source", "new.png", image_bytes(30))  # is the next run's, not a retry's
    (tmp_path / "destination/album/00.png").unlink()  # what was in the way is taken away
    before = snapshot(tmp_path / "destination")

    second = run_job(again(settings, max_pixels=10_000))

    assert second.id == f"{first.id}-retry1"
    assert ends(second) == {
        "album/00.png": "restored",
        "large/a.png": "restored",
        "large/b.png": "restored",
        "torn.jpg": "failed",
    }
    assert_kept(before, tmp_path / "destination")
    assert {"album/00.png", "large/a.png", "large/b.png"} <= snapshot(tmp_path / "destination").keys()
    assert ends(first) == {row.source_key: row.status for row in read_manifest(settings.destination, first.id)}


def test_each_retry_takes_what_the_ones_before_it_could_not_do(settings) -> None:
    run_job(settings)
    assert len(ends(run_job(again(settings)))) == 4
    third = run_job(again(settings, max_pixels=10_000))
    assert third.id.endswith("-retry2")
    assert Counter(ends(third).values()) == {"restored": 2, "failed": 1, "conflict": 1}
    assert set(ends(run_job(again(settings)))) == {"album/00.png", "torn.jpg"}


def test_a_summary_leaves_out_the_failures_that_later_retries_restored_and_no_others(settings) -> None:
    first = run_job(settings)
    second = run_job(again(settings))
    third = run_job(again(settings, max_pixels=10_000))
    for job in (first, second):
        summary = summary_of(job)
        assert (summary.counts.failed, summary.counts.conflicts) == (3, 1)
        assert summary.restored_since == 2
        assert failures(job) == ["album/00.png", "torn.jpg"]
    last = summary_of(third)
    assert (last.counts.restored, last.restored_since, len(last.failures)) == (2, 0, 2)


def test_a_retry_that_was_interrupted_is_finished_and_not_begun_anew(settings) -> None:
    run_job(settings)
    retry = again(settings, shard_size=1)
    job = open_job(retry)
    pending = plan_job(job).pending
    assert len(pending) == 4
    next(run_shards(job, pending, on_progress=lambda progress: None))
    resumed = run_job(retry)
    assert resumed.id == job.id
    assert len(ends(resumed)) == 4


def test_where_nothing_failed_a_retry_has_nothing_to_do(settings, tmp_path, tiny_prior) -> None:
    write_archive(tmp_path / "good", 2)
    good = restore_job(tmp_path / "good", tmp_path / "out", tiny_prior)
    first = run_job(good)
    before = snapshot(tmp_path / "out")
    job = open_job(again(good))
    assert job.id == first.id
    assert plan_job(job).pending == ()
    assert snapshot(tmp_path / "out") == before


def test_an_input_that_was_replaced_or_is_gone_is_skipped_by_a_retry(settings, tmp_path) -> None:
    run_job(settings)
    put(tmp_path / "source", "torn.jpg", image_bytes(5, kind="JPEG"))
    (tmp_path / "source/large/a.png").unlink()
    assert ends(run_job(again(settings))) == {
        "album/00.png": "conflict",
        "large/a.png": "skipped",
        "large/b.png": "failed",
        "torn.jpg": "skipped",
    }


def test_without_a_job_before_there_is_nothing_to_try_again(settings) -> None:
    with pytest.raises(ConfigurationError, match="run it without retry first"):
        open_job(again(settings))


def test_a_retry_makes_no_destination(settings, tmp_path) -> None:
    elsewhere = again(settings).model_copy(update={"destination": str(tmp_path / "elsewhere" / "out")})
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        open_job(elsewhere)
    assert not (tmp_path / "elsewhere").exists()


def test_a_job_is_found_again_with_the_settings_it_was_recorded_with(settings) -> None:
    first = run_job(settings)
    second = run_job(again(settings))
    assert find_jobs(settings.destination) == (first.id, second.id)
    assert {base_of(each) for each in find_jobs(settings.destination)} == {first.id}
    assert recorded_job(settings.destination, first.id) == first.config
    with pytest.raises(ConfigurationError, match=f"no job 'other'.*{first.id}"):
        recorded_job(settings.destination, "other")


def test_a_retry_is_of_everything_that_failed_and_takes_no_list_of_keys(settings) -> None:
    with pytest.raises(ConfigurationError, match="exclude each other"):
        open_job(again(settings).model_copy(update={"key_list": "keys.jsonl"}))
