"""An image that kills its process costs its shard that image alone."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest

from deqir import Tally
from pipeline.execution.progress import Progress
from pipeline.execution.ray.crash_isolation import CarefulShard, Step
from pipeline.job.job import open_job, plan_job
from pipeline.manifest.schema import ManifestRow
from pipeline.shards import ShardReport
from pipeline.status import Counts
from tests.pipeline.archive import image_bytes, put, restore_job, snapshot, write_archive
from tests.pipeline.faults import MARKED_WIDTH, faulty_worker
from tests.pipeline.jobs import ray_executor, worker_builder
from tests.pipeline.rows import read_manifest
from tests.pipeline.shard_runs import rows_of, run

IMAGES = 5
TIMES = {"started_at", "finished_at"} | {f"{stage}_seconds" for stage in ("fetch", "decode", "solve", "encode", "put")}


def without_times(row: ManifestRow) -> dict[str, object]:
    return {field.name: getattr(row, field.name) for field in fields(row) if field.name not in TIMES}


def write_inputs(source: Path) -> list[str]:
    """Good images around a marked one, one that cannot be read, and no image."""
    keys = write_archive(source, IMAGES)
    put(source, "album/02-marked.png", image_bytes(50, size=(MARKED_WIDTH, 16)))
    put(source, "cut.png", image_bytes(7)[:100])
    put(source, "notes.txt", b"taken in 1931")
    return keys


def test_images_one_by_one_have_the_rows_and_the_counts_of_a_shard_run_as_a_whole(source, destination, opened) -> None:
    write_inputs(source)
    _, worker, (shard,) = opened(runtime={"shard_size": 100, "batch_size": 1})
    whole = [without_times(row) for row in run(worker, shard)]
    for path in [path for path in destination.rglob("*") if path.is_file()]:
        path.unlink()
    tally = Tally()
    rows = [worker.restore_alone(ref, shard.id, tally) for ref in shard.images]
    report = worker.commit(shard.id, rows, tally, seconds=2.5)
    assert [without_times(row) for row in rows_of(worker, shard)] == whole
    assert report.counts == Counts(restored=IMAGES + 1, failed=1, skipped=1)
    assert report.errors == (("DecodeError", 1),)
    assert report.network_calls == report.nfe == sum(row.nfe or 0 for row in rows) > 0
    assert report.seconds > 2.5
    assert report.solve_seconds > 0


def test_images_one_by_one_know_the_outputs_of_an_attempt_before(source, destination, opened) -> None:
    keys = write_archive(source, 3)
    _, worker, (shard,) = opened()
    for ref in shard.images[:2]:
        worker.restore_alone(ref, shard.id, Tally())
    before = {path: file for path, file in snapshot(destination).items() if path.endswith(".png")}
    assert len(before) == 2
    rows = [worker.restore_alone(ref, shard.id, Tally()) for ref in shard.images]
    assert {row.source_key: row.status for row in rows} == dict.fromkeys(keys, "restored")
    after = snapshot(destination)
    assert {path: after[path] for path in before} == before
    worker.commit(shard.id, rows, Tally(), seconds=0)
    assert worker.commit(shard.id, rows, Tally(), seconds=0).already_committed


def test_only_deaths_while_no_image_is_restored_are_not_an_images(source, opened) -> None:
    write_archive(source, 2)
    _, worker, (shard,) = opened()
    careful = CarefulShard(shard)
    assert [careful.died(), careful.died()] == [False, False]
    assert careful.died()  # while the row of the one given up was made
    row = worker.give_up(shard.images[0], shard.id)
    assert careful.answered(Step(row=row, tally=Tally(), seconds=1)) is None
    assert careful.progress == Progress(counts=Counts(failed=1))
    assert [careful.died(), careful.died(), careful.died()] == [False, False, True]
    report = ShardReport(shard_id=shard.id)
    assert careful.answered(report) is report


@pytest.mark.parametrize("restored_first", [False, True])
def test_a_shard_of_which_every_image_kills_its_process_is_not_theirs_to_answer_for(
    source, opened, restored_first
) -> None:
    """A broken driver is no fault of the images; one that was restored shows that the machine is well."""
    write_archive(source, 5)
    _, worker, (shard,) = opened(runtime={"shard_size": 100})
    careful = CarefulShard(shard)
    for place, ref in enumerate(shard.images[:4]):
        if place == 0 and restored_first:
            row = worker.restore_alone(ref, shard.id, Tally())
        else:
            blamed = [careful.died(), careful.died()]
            assert blamed == [place == 3 and not restored_first] * 2
            row = worker.give_up(ref, shard.id)
        careful.answered(Step(row=row, tally=Tally(), seconds=1))


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("deaths", [99, 3], ids=["every time", "three times"])
def test_an_image_that_kills_its_process_does_not_take_its_shard_down(tmp_path, tiny_prior, deaths) -> None:
    keys = write_inputs(tmp_path / "source")
    (tmp_path / "faults").mkdir()
    job = open_job(restore_job(tmp_path / "source", tmp_path / "out", tiny_prior, runtime={"shard_size": 100}))
    build = partial(faulty_worker, worker_builder(job), "die", deaths, tmp_path / "faults")
    told: list[Progress] = []
    (report,) = ray_executor(attempts=1).run(plan_job(job).shards, build, told.append)

    lost = deaths == 99
    rows = {row.source_key: row for row in read_manifest(str(tmp_path / "out"), job.id)}
    marked = rows.pop("album/02-marked.png")
    assert {key: row.status for key, row in rows.items()} == {
        **dict.fromkeys(keys, "restored"),
        "cut.png": "failed",
        "notes.txt": "skipped",
    }
    assert marked.status == ("failed" if lost else "restored")
    assert marked.error_type == ("ProcessDiedError" if lost else None)
    assert not lost or "died twice while it was restored" in str(marked.error)
    assert len(list((tmp_path / "faults").iterdir())) == (4 if lost else 3)

    errors = (("DecodeError", 1), ("ProcessDiedError", 1)) if lost else (("DecodeError", 1),)
    assert report.counts == Counts(restored=IMAGES + (not lost), failed=1 + lost, skipped=1)
    assert (report.errors, report.nfe) == (errors, 3 * report.counts.restored)
    assert report.seconds > report.solve_seconds > 0
    assert max(progress.done for progress in told) == IMAGES + 3
    assert told[-1] == Progress(counts=report.counts)
    assert not plan_job(job).pending
