"""A job is counted by its inputs as they are now: a version that was replaced keeps its row and counts no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import RestoreJob
from pipeline.job.job import Job, open_job, plan_job, read_manifest, run_shards, summarise
from pipeline.reporting.summary import JobSummary
from tests.pipeline.archive import image_bytes, put, restore_job, write_archive

LARGE = (40, 40)


@pytest.fixture
def settings(source: Path, destination: Path, tiny_prior: str) -> RestoreJob:
    """Two small images and a torn file; one of 40 pixels a side does not fit the limit."""
    write_archive(source, 2)
    put(source, "torn.png", b"not an image")
    return restore_job(source, destination, tiny_prior, runtime={"max_pixels": 3000, "shard_size": 1})


def run(settings: RestoreJob, *, backwards: bool = False) -> Job:
    job = open_job(settings)
    pending = plan_job(job).pending
    list(run_shards(job, pending[::-1] if backwards else pending, on_progress=lambda progress: None))
    return job


def again(settings: RestoreJob, **runtime: object) -> RestoreJob:
    return RestoreJob.model_validate(
        settings.model_dump() | {"retry": True, "runtime": settings.runtime.model_dump() | runtime}
    )


def summary_of(job: Job) -> JobSummary:
    return summarise(job.config.destination, job.id)


def counts(job: Job) -> tuple[int, int, int, int]:
    """Inputs, restored, failed, and rows of older versions."""
    summary = summary_of(job)
    return summary.images, summary.counts.restored, summary.counts.failed, summary.replaced


def failures(job: Job) -> list[str]:
    return [failure.key for failure in summary_of(job).failures]


def test_a_failure_that_was_replaced_by_an_image_that_is_restored_is_none_any_more(settings, source) -> None:
    job = run(settings)
    assert (counts(job), failures(job)) == ((3, 2, 1, 0), ["torn.png"])
    put(source, "torn.png", image_bytes(5))
    assert (counts(job), failures(job)) == ((3, 2, 1, 0), ["torn.png"])
    run(settings)
    assert (counts(job), failures(job)) == ((3, 3, 0, 1), [])
    assert summary_of(job).restored_since == 0
    ends = sorted((row.source_key, row.status) for row in read_manifest(settings.destination, job.id))
    assert ends[2:] == [("torn.png", "failed"), ("torn.png", "restored")]


def test_until_the_new_version_was_tried_the_old_one_counts(settings, source) -> None:
    job = run(settings)
    put(source, "torn.png", image_bytes(5))
    assert plan_job(job).waiting == 1
    assert (counts(job), failures(job)) == ((3, 2, 1, 0), ["torn.png"])


@pytest.mark.parametrize("backwards", [False, True])
def test_the_plan_tells_which_version_is_newer_whichever_shard_was_done_last(settings, source, backwards) -> None:
    """The version that an interrupted run left over is gone from the source when its shard is done."""
    plan_job(open_job(settings))
    put(source, "torn.png", image_bytes(5))
    put(source, "album/00.png", b"torn, too")
    job = run(settings, backwards=backwards)
    rows = read_manifest(settings.destination, job.id)
    assert sum(row.error_type == "SourceChangedError" for row in rows) == 2
    assert (counts(job), failures(job)) == ((3, 2, 1, 2), ["album/00.png"])


def test_a_new_version_that_fails_is_a_failure_though_the_old_one_was_restored(settings, source) -> None:
    run(settings)
    put(source, "album/01.png", image_bytes(1, size=LARGE))
    job = run(settings)
    assert (counts(job), failures(job)) == ((3, 1, 2, 1), ["album/01.png", "torn.png"])
    retry = run(again(settings, max_pixels=10_000))
    assert (summary_of(job).restored_since, failures(job)) == (1, ["torn.png"])
    assert (counts(retry), failures(retry)) == ((2, 1, 1, 0), ["torn.png"])


def test_a_failure_that_was_replaced_by_one_that_a_retry_restored_is_none_any_more(settings, source) -> None:
    run(settings)
    put(source, "torn.png", image_bytes(22, size=LARGE))
    job = run(settings)
    assert (counts(job), failures(job)) == ((3, 2, 1, 1), ["torn.png"])
    run(again(settings, max_pixels=10_000))
    assert (summary_of(job).restored_since, failures(job)) == (1, [])


def test_what_a_retry_could_not_do_and_what_was_then_replaced_counts_no_more_for_the_retry(settings, source) -> None:
    run(settings)
    retry = run(again(settings))
    assert failures(retry) == ["torn.png"]
    put(source, "torn.png", image_bytes(5))
    run(settings)
    assert (summary_of(retry).restored_since, failures(retry)) == (1, [])


def test_a_retry_is_not_taken_for_done_by_an_older_version(settings, source) -> None:
    run(settings)
    put(source, "album/01.png", b"torn, too")
    run(settings)
    retry = run(again(settings))
    assert (summary_of(retry).restored_since, failures(retry)) == (0, ["album/01.png", "torn.png"])
