"""What failed and is gone from the source since is settled by a retry; what comes back is tried again."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipeline.config import RestoreJob
from pipeline.job.job import Job, find_jobs, summarise
from tests.pipeline.archive import image_bytes, put, restore_job, snapshot, write_archive
from tests.pipeline.jobs import again, assert_a_row_a_version, counts, failures, run_job, summary_of
from tests.pipeline.rows import read_manifest

CONTENT = {"good": image_bytes(3), "other": image_bytes(4), "torn": b"not an image", "empty": b""}
TIMES = {name: 1_500_000_000 + number for number, name in enumerate(CONTENT)}
BAD = ("torn", "empty")
TRIES: dict[str, dict[str, Any]] = {"run": {}, "retry": {"retry": True}, "run in a small memory": {"max_pixels": 10}}
TRIES["retry in a small memory"] = {"retry": True, "max_pixels": 10}


def place(folder: Path, name: str, *, key: str = "a.png") -> None:
    """Put one of the versions there, each of which has the same etag whenever it comes back."""
    put(folder, key, CONTENT[name])
    os.utime(folder / key, (TIMES[name], TIMES[name]))


@pytest.fixture
def settings(source: Path, destination: Path, tiny_prior: str) -> RestoreJob:
    """One image that stays as it is; `a.png` is the tests'."""
    write_archive(source, 1)
    return restore_job(source, destination, tiny_prior)


def run(settings: RestoreJob, *, retry: bool = False, **runtime: Any) -> Job:
    job = run_job(again(settings, retry=retry, **runtime))
    assert_a_row_a_version(job)
    return job


def test_a_failure_that_was_deleted_is_skipped_by_a_retry_and_counts_no_more(settings, source, destination) -> None:
    place(source, "torn")
    first = run(settings)
    (source / "a.png").unlink()
    assert failures(run(settings)) == ["a.png"]  # a manifest does not know what the source has
    retry = run(settings, retry=True)
    (row,) = read_manifest(settings.destination, retry.id)
    assert (row.source_key, row.status, row.error_type, row.output_key) == ("a.png", "skipped", None, None)
    assert "gone from the source" in str(row.error)
    assert (summary_of(retry).counts.skipped, failures(retry)) == (1, [])
    anew = run(settings)
    assert anew.id == first.id
    assert (counts(anew), failures(anew)) == ((1, 1, 0, 1), [])
    kept = {row.source_key: row.status for row in read_manifest(settings.destination, first.id)}
    assert kept == {"a.png": "failed", "album/00.png": "restored"}
    before = snapshot(destination)
    assert run(settings, retry=True).id == retry.id
    assert snapshot(destination) == before


def test_where_a_version_that_was_restored_is_put_back_it_is_the_one_that_counts(settings, source) -> None:
    place(source, "good")
    run(settings)
    place(source, "torn")
    assert failures(run(settings)) == ["a.png"]
    place(source, "good")
    retry = run(settings, retry=True)
    assert [row.status for row in read_manifest(settings.destination, retry.id)] == ["skipped"]
    anew = run(settings)
    assert counts(anew) == (2, 2, 0, 1)
    assert failures(anew) == failures(retry) == []


def test_where_a_version_that_failed_is_put_back_it_is_tried_and_the_newer_one_skipped(settings, source) -> None:
    place(source, "good")
    first = run(settings, max_pixels=10)
    place(source, "torn")
    run(settings)
    place(source, "good")
    retry = run(settings, retry=True)
    assert Counter(row.status for row in read_manifest(settings.destination, retry.id)) == {"restored": 2, "skipped": 1}
    assert counts(retry) == (2, 2, 0, 1)
    assert (failures(first), failures(retry)) == ([], [])


def test_what_was_found_gone_and_comes_back_is_tried_again(settings, source) -> None:
    place(source, "good")
    first = run(settings, max_pixels=10)
    (source / "a.png").unlink()
    run(settings, retry=True)
    place(source, "good")
    second = run(settings, retry=True)
    assert second.id == f"{first.id}-retry2"
    assert [row.status for row in read_manifest(settings.destination, second.id)] == ["restored"]
    assert (summary_of(first).restored_since, failures(first)) == (2, [])


def test_what_was_replaced_by_what_was_restored_needs_no_retry(settings, source) -> None:
    place(source, "torn")
    first = run(settings)
    place(source, "good")
    run(settings)
    assert run(settings, retry=True).id == first.id
    assert find_jobs(settings.destination) == (first.id,)


@examples(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from([*CONTENT, "deleted", *TRIES]), min_size=1, max_size=8))
@example(steps=["torn", "run", "deleted"])
@example(steps=["good", "run", "torn", "run", "good"])
@example(steps=["torn", "run", "empty", "run", "deleted"])
@example(steps=["torn", "run", "deleted", "retry", "torn"])
def test_after_a_run_and_a_retry_exactly_what_the_source_has_and_is_broken_counts(
    tmp_path_factory, tiny_prior, steps
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    write_archive(folder / "source", 1)
    settings = restore_job(folder / "source", folder / "destination", tiny_prior)
    run(settings)
    now = "deleted"
    for step in [*steps, "run", "retry"]:
        if step in TRIES:
            last = run(settings, **TRIES[step])
        else:
            (folder / "source/a.png").unlink(missing_ok=True)
            if step != "deleted":
                place(folder / "source", step)
            now = step
    expected = ["a.png"] if now in BAD else []
    jobs = find_jobs(settings.destination)
    assert [failure.key for failure in summarise(settings.destination, jobs[0]).failures] == expected
    assert failures(last) == expected
    if not expected:
        before = snapshot(folder / "destination")
        assert run(settings, retry=True).id == last.id
        assert snapshot(folder / "destination") == before
