"""What an attempt that died left behind is known again by every later run and retry of its job, and by no other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import RestoreJob
from pipeline.job.job import Job, open_job, plan_job, summarise
from pipeline.manifest.schema import ManifestRow
from tests.pipeline.archive import assert_kept, put, restore_job, snapshot, write_archive
from tests.pipeline.faults import watched
from tests.pipeline.jobs import again, run_job
from tests.pipeline.privileges import without_privileges
from tests.pipeline.rows import read_manifest
from tests.pipeline.shard_runs import run, worker_of

TOO_SMALL = {"max_pixels": 10}


@pytest.fixture
def settings(source: Path, destination: Path, tiny_prior: str) -> RestoreJob:
    """Two images and their samples."""
    write_archive(source, 2)
    return restore_job(source, destination, tiny_prior, result={"samples": 2})


def done(settings: RestoreJob) -> tuple[Job, list[ManifestRow]]:
    job = run_job(settings)
    return job, read_manifest(job.config.destination, job.id)


def die_after_an_output(settings: RestoreJob) -> dict[str, Any]:
    """Run until the first output is written; returns what is there then."""
    job = open_job(settings)
    output = Path(job.config.destination) / "album/00.png"

    def dies(request: Any) -> None:
        if request.tag.work.prepared.ref.key == "album/01.png":
            while not output.exists():
                time.sleep(0.01)
            raise ConnectionResetError("the machine goes down")

    with pytest.raises(ConnectionResetError):
        watched(worker_of(job), dies).run(plan_job(job).pending[0], lambda status: None)
    return {path: state for path, state in snapshot(Path(job.config.destination)).items() if path.endswith(".png")}


def test_a_retry_knows_the_output_that_a_run_left_whose_image_failed_when_it_was_resumed(settings, destination) -> None:
    left = die_after_an_output(settings)
    assert "album/00.png" in left
    job, rows = done(again(settings, retry=False, **TOO_SMALL))
    assert [row.status for row in rows] == ["failed", "failed"]
    retry, rows = done(again(settings))
    assert (retry.id, [row.status for row in rows]) == (f"{job.id}-retry1", ["restored", "restored"])
    assert rows[0].output_size == len((destination / "album/00.png").read_bytes())
    assert_kept(left, destination)
    assert summarise(settings.destination, job.id).failures == ()


def test_a_retry_knows_the_output_that_an_earlier_retry_left(settings, destination) -> None:
    done(again(settings, retry=False, **TOO_SMALL))
    left = die_after_an_output(again(settings))
    assert "album/00.png" in left
    first, rows = done(again(settings, **TOO_SMALL))
    assert [row.status for row in rows] == ["failed", "failed"]
    second, rows = done(again(settings))
    assert (first.id[-7:], second.id[-7:]) == ("-retry1", "-retry2")
    assert [row.status for row in rows] == ["restored", "restored"]
    assert_kept(left, destination)


def test_what_another_job_left_is_none_of_ours_for_its_retries_either(settings, destination) -> None:
    die_after_an_output(settings)
    before = snapshot(destination)
    seed = settings.result.model_copy(update={"seed": 1})
    another = RestoreJob.model_validate(settings.model_dump() | {"result": seed})
    _, rows = done(another)
    assert [row.status for row in rows] == ["conflict", "restored"]
    _, rows = done(again(another))
    assert [row.status for row in rows] == ["conflict"]
    assert "another job, input, mask or guide" in str(rows[0].error)
    assert_kept(before, destination)


def test_an_output_that_we_may_not_read_is_one_images_conflict_and_left_alone(tiny_prior, opened, source) -> None:
    write_archive(source, 1)
    _, worker, shards = opened()
    run(worker, shards[0])  # imports, while everything may be read, what a run needs
    prior = {path.name: path.read_bytes() for path in Path(tiny_prior).iterdir()}
    with without_privileges() as folder:
        for name, data in prior.items():
            put(folder / "prior", name, data)
        keys = write_archive(folder / "source", 3)
        taken = folder / "destination" / keys[1]
        put(folder / "destination", keys[1], b"somebody else's")
        taken.chmod(0)
        job = open_job(restore_job(folder / "source", folder / "destination", str(folder / "prior")))
        (shard,) = plan_job(job).shards
        rows = {row.source_key: row for row in run(worker_of(job), shard)}
        assert [rows[key].status for key in keys] == ["restored", "conflict", "restored"]
        assert "Permission denied" in str(rows[keys[1]].error)
        assert "left alone" in str(rows[keys[1]].error)
        taken.chmod(0o600)
        assert taken.read_bytes() == b"somebody else's"
