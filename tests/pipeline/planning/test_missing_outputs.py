"""What was restored and is gone from the destination since is restored again by a retry, to the same pixels."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipeline.config import RestoreJob
from pipeline.images.codec import read_provenance
from pipeline.job.job import Job, summarise, survey
from pipeline.planning.missing_outputs import Listing
from pipeline.reporting.before_after import exhibits
from pipeline.store import open_store
from tests.pipeline.archive import assert_kept, image_bytes, pixels, put, restore_job, snapshot, write_archive
from tests.pipeline.jobs import again, assert_a_row_a_version, ends, failures, run_job, summary_of

SMALL = {"max_pixels": 10}


@pytest.fixture
def settings(source: Path, destination: Path, tiny_prior: str) -> RestoreJob:
    """Three images and a text."""
    write_archive(source, 3)
    put(source, "notes.txt", b"taken in 1931")
    return restore_job(source, destination, tiny_prior)


def run(settings: RestoreJob, *, retry: bool = False, **runtime: Any) -> Job:
    return run_job(again(settings, retry=retry, **runtime))


def counts(job: Job) -> tuple[int, int, int, int, int]:
    """Images, restored, failed, replaced, and failures that are listed."""
    told = summary_of(job)
    return told.images, told.counts.restored, told.counts.failed, told.replaced, len(told.failures)


def test_an_output_that_is_gone_is_made_again_and_nothing_else(settings, destination) -> None:
    first = run(settings)
    output = destination / "album/01.png"
    made = pixels(output)
    output.unlink()
    assert run(settings).id == first.id  # a plain run asks its rows alone
    assert not output.exists()
    before = snapshot(destination)
    retry = run(settings, retry=True)
    assert (retry.id, ends(retry)) == (f"{first.id}-retry1", {"album/01.png": "restored"})
    assert (pixels(output) == made).all()
    assert_kept(before, destination)
    after = snapshot(destination)
    assert counts(first) == (4, 3, 0, 0, 0)
    assert counts(retry) == (1, 1, 0, 0, 0)
    assert run(settings, retry=True).id == retry.id
    assert snapshot(destination) == after


@pytest.mark.parametrize("name", ["sample-2.png", "mean.png", "spread.png"])
def test_a_sample_that_is_gone_is_made_again_below_the_retry(source, destination, tiny_prior, name) -> None:
    write_archive(source, 2)
    settings = restore_job(source, destination, tiny_prior, result={"samples": 2})
    first = run(settings)
    where = "samples/album/00.png"
    lost = destination / f".deqir/{first.id}/{where}/{name}"
    made = pixels(lost)
    lost.unlink()
    retry = run(settings, retry=True)
    assert ends(retry) == {"album/00.png": "restored"}
    assert (pixels(destination / f".deqir/{retry.id}/{where}/{name}") == made).all()
    assert run(settings, retry=True).id == retry.id


def test_an_output_whose_source_is_gone_too_or_was_replaced_is_left_as_it_is(settings, source, destination) -> None:
    first = run(settings)
    for key in ("album/00.png", "album/01.png"):
        (destination / key).unlink()
    (source / "album/00.png").unlink()
    put(source, "album/01.png", image_bytes(9))
    run(settings)
    before = snapshot(destination)
    assert run(settings, retry=True).id == first.id
    assert snapshot(destination) == before
    assert counts(first) == (4, 3, 0, 1, 0)


def test_what_was_lost_and_cannot_be_made_again_counts_as_failed_until_it_is(settings, destination) -> None:
    first = run(settings)
    output = destination / "album/01.png"
    output.unlink()
    retry = run(settings, retry=True, **SMALL)
    assert ends(retry) == {"album/01.png": "failed"}
    assert counts(first) == (4, 2, 1, 0, 1)
    assert counts(retry) == (1, 0, 1, 0, 1)
    (failure,) = summarise(settings.destination, first.id).failures
    assert (failure.key, failure.error_type) == ("album/01.png", "ImageTooLargeError")
    second = run(settings, retry=True)
    assert second.id == f"{first.id}-retry2"
    assert output.exists()
    assert counts(first) == (4, 3, 0, 0, 0)
    assert counts(retry)[4] == counts(second)[4] == 0
    output.unlink()
    third = run(settings, retry=True, **SMALL)
    for job in (first, retry, second, third):
        assert counts(job)[4] == 1


def test_what_was_lost_failed_and_is_gone_from_the_source_counts_no_more(settings, source, destination) -> None:
    first = run(settings)
    (destination / "album/01.png").unlink()
    run(settings, retry=True, **SMALL)
    (source / "album/01.png").unlink()
    second = run(settings, retry=True)
    assert ends(second) == {"album/01.png": "skipped"}
    assert counts(first) == (3, 2, 0, 1, 0)
    assert counts(second)[4] == 0


def test_pictures_of_what_is_gone_say_how_it_is_made_again(settings, destination, caplog) -> None:
    job = run(settings)
    (destination / "album/01.png").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(exhibits(job.config, survey(settings.destination, job.id).restored, count=3)) == 2
    assert f"deqir retry {destination} makes it again" in caplog.text


def test_a_listing_knows_the_keys_that_were_there(tmp_path) -> None:
    keys = [f"album/{number:04d}.png" for number in range(500)]
    for key in keys[::2]:
        put(tmp_path, key, b"")
    listing = Listing(open_store(str(tmp_path), writable=False))
    assert [key in listing for key in keys] == [True, False] * 250
    (tmp_path / "none").mkdir()
    assert "a.png" not in Listing(open_store(str(tmp_path / "none"), writable=False))


@pytest.mark.s3
def test_an_output_that_is_gone_from_a_bucket_is_made_again(source, tiny_prior, s3_server, s3_url) -> None:
    write_archive(source, 2)
    settings = restore_job(source, Path("out"), tiny_prior).model_copy(update={"destination": f"{s3_url}/out"})
    run(settings)
    s3_server.client().delete_object(Bucket=s3_url.split("/")[2], Key=f"{s3_url.split('/', 3)[3]}/out/album/00.png")
    assert ends(run(settings, retry=True)) == {"album/00.png": "restored"}
    assert open_store(settings.destination, writable=False).head("album/00.png") is not None


VERSIONS = {"first": image_bytes(3), "second": image_bytes(4)}
TIMES = {name: 1_500_000_000 + number for number, name in enumerate(VERSIONS)}
STEPS: dict[str, dict[str, Any]] = {"run": {}, "retry": {"retry": True}, "retry in vain": {"retry": True} | SMALL}


def place(folder: Path, name: str) -> None:
    """Put one of the versions there, each of which has the same etag whenever it comes back."""
    put(folder, "a.png", VERSIONS[name])
    os.utime(folder / "a.png", (TIMES[name], TIMES[name]))


@examples(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from([*STEPS, *VERSIONS, "lose"]), min_size=1, max_size=8))
@example(steps=["lose", "retry in vain", "retry", "lose", "retry in vain", "second", "run"])
@example(steps=["second", "run", "lose", "first", "retry"])
def test_after_a_run_and_a_retry_what_the_source_has_is_there_and_counts_as_restored(
    tmp_path_factory, tiny_prior, steps
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    place(folder / "source", now := "first")
    settings = restore_job(folder / "source", folder / "destination", tiny_prior)
    first = run(settings)
    for step in [*steps, "run", "retry"]:
        if step in STEPS:
            assert_a_row_a_version(last := run(settings, **STEPS[step]))
        elif step == "lose":
            for output in (folder / "destination").glob("*.png"):
                output.unlink()
        else:
            place(folder / "source", now := step)
    digest = hashlib.sha256(VERSIONS[now]).hexdigest()
    made = [read_provenance(output.read_bytes()) for output in (folder / "destination").glob("*.png")]
    assert sum(str(each).endswith(digest) for each in made) == 1
    told = summarise(settings.destination, first.id)
    assert (told.images, told.failures) == (1, ())
    assert failures(last) == []
    before = snapshot(folder / "destination")
    assert run(settings, retry=True).id == last.id
    assert snapshot(folder / "destination") == before
