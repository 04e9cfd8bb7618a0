"""Images that were set aside, delivered once somebody accepts them; nothing is overwritten, whoever dies or races."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.job.accept import accept
from pipeline.job.job import Job
from pipeline.keys import Layout
from pipeline.manifest.accepted import ACCEPTED
from pipeline.store import open_store
from tests.pipeline.archive import put, restore_job, snapshot
from tests.pipeline.jobs import again, run_job, summary_of
from tests.pipeline.worker.test_doubts import blurred

KEYS = ("a.png", "b/c.png", "d.png")


@pytest.fixture
def aside(source: Path, destination: Path, tiny_prior: str) -> Job:
    """A job that has set three images aside."""
    for key in KEYS:
        put(source, key, blurred())
    return run_job(restore_job(source, destination, tiny_prior, runtime={"on_doubt": "aside"}, result={"steps": 1}))


def accepted(job: Job, *keys: str, by: str = "Ada") -> dict[str, str | None]:
    ends = accept(job.config.destination, job.id, keys or None, by=by)
    return {end.key: end.error for end in ends}


def records(job: Job) -> list[tuple[str, str]]:
    """Key and person of every accepted image."""
    store = open_store(job.config.destination, writable=False)
    found = [store.get(info.key, limit=2**20).data for info in store.list(job.layout.acceptances)]
    return sorted((row.source_key, row.accepted_by) for part in found for row in ACCEPTED.decode(part))


def test_an_accepted_image_is_delivered_as_it_was_kept_and_counts(aside, destination) -> None:
    before = summary_of(aside)
    assert (before.counts.set_aside, before.accepted, len(before.aside)) == (3, 0, 3)
    assert accepted(aside, "b/c.png") == {"b/c.png": None}
    kept = (destination / aside.layout.aside("b/c.png")).read_bytes()
    assert (destination / "b/c.png").read_bytes() == kept
    assert not (destination / "a.png").exists()
    assert records(aside) == [("b/c.png", "Ada")]
    after = summary_of(aside)
    assert (after.counts.set_aside, after.accepted, [each.key for each in after.aside]) == (3, 1, ["a.png", "d.png"])
    assert not after.is_complete
    assert accepted(aside) == dict.fromkeys(KEYS)
    assert summary_of(aside).is_complete
    assert records(aside) == [("a.png", "Ada"), ("b/c.png", "Ada"), ("d.png", "Ada")]


def test_to_accept_again_changes_nothing_and_the_first_person_stays(aside, destination) -> None:
    accepted(aside)
    before = snapshot(destination)
    assert accepted(aside, by="Grace") == dict.fromkeys(KEYS)
    assert snapshot(destination) == before


def test_an_acceptance_that_died_is_repeated(aside, destination) -> None:
    """It dies after two outputs, and before their record."""
    for key in KEYS[:2]:
        put(destination, key, (destination / aside.layout.aside(key)).read_bytes())
    assert accepted(aside) == dict.fromkeys(KEYS)
    assert records(aside) == [(key, "Ada") for key in KEYS]


def test_people_may_accept_at_the_same_time(aside, destination) -> None:
    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(lambda name: accepted(aside, by=name), "abcd"))
    assert ends == [dict.fromkeys(KEYS)] * 4
    assert [key for key, _ in records(aside)] == list(KEYS)


def test_an_accepted_output_that_is_gone_is_delivered_again(aside, destination) -> None:
    accepted(aside)
    (destination / "a.png").unlink()
    assert accepted(aside, "a.png") == {"a.png": None}
    assert (destination / "a.png").exists()
    assert len(records(aside)) == 3


def test_what_has_taken_the_output_is_left_alone_and_the_others_are_delivered(aside, destination) -> None:
    put(destination, "a.png", b"of somebody else")
    ends = accepted(aside)
    assert "is taken" in str(ends.pop("a.png"))
    assert ends == dict.fromkeys(KEYS[1:])
    assert (destination / "a.png").read_bytes() == b"of somebody else"
    assert [key for key, _ in records(aside)] == list(KEYS[1:])


def test_a_restoration_that_was_changed_or_is_gone_is_not_delivered(aside, destination) -> None:
    (destination / aside.layout.aside("a.png")).write_bytes(b"x")
    (destination / aside.layout.aside("d.png")).unlink()
    ends = accepted(aside)
    assert "was changed since" in str(ends["a.png"])
    assert "is gone" in str(ends["d.png"])
    assert not (destination / "a.png").exists()


def test_a_name_that_is_not_set_aside_is_an_error_of_its_own(aside) -> None:
    ends = accepted(aside, "e.png", "a.png")
    assert "no image of this name" in str(ends["e.png"])
    assert ends["a.png"] is None


def test_an_image_that_was_replaced_since_is_no_longer_set_aside(aside, source, destination) -> None:
    put(source, "a.png", b"not an image")
    run_job(aside.config)
    assert set(accepted(aside)) == {"b/c.png", "d.png"}


def test_an_image_that_a_retry_set_aside_is_accepted_by_the_jobs_own_id(source, destination, tiny_prior) -> None:
    put(source, "a.png", blurred())
    settings = restore_job(
        source, destination, tiny_prior, runtime={"on_doubt": "aside", "max_pixels": 10}, result={"steps": 1}
    )
    job = run_job(settings)
    retry = run_job(again(settings, max_pixels=10**6))
    assert summary_of(retry).counts.set_aside == 1
    assert summary_of(job).restored_since == 0
    assert accepted(job) == {"a.png": None}
    assert (destination / "a.png").read_bytes() == (destination / retry.layout.aside("a.png")).read_bytes()
    assert (summary_of(job).restored_since, summary_of(job).failures, summary_of(retry).accepted) == (1, (), 1)


@pytest.mark.s3
def test_a_bucket_delivers_as_a_folder_does(source, s3_server, s3_url, tiny_prior) -> None:
    put(source, "a.png", blurred())
    settings = restore_job(source, Path("out"), tiny_prior, runtime={"on_doubt": "aside"}, result={"steps": 1})
    job = run_job(settings.model_copy(update={"destination": f"{s3_url}/out"}))
    assert accepted(job) == {"a.png": None}
    assert accepted(job) == {"a.png": None}
    store = open_store(job.config.destination, writable=False)
    kept = store.get(Layout(job.id).aside("a.png"), limit=2**20).data
    assert store.get("a.png", limit=2**20).data == kept
    assert records(job) == [("a.png", "Ada")]
