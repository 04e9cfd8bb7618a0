"""What of a job is still to do is told by its plan and by the parts that are there, input by input."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pipeline.config import RestoreJob
from pipeline.job.job import Job, open_job, plan_job
from pipeline.keys import Layout
from pipeline.planning.plan import GENERATIONS, PlanRow
from pipeline.reporting.to_do import inputs_to_do
from pipeline.shards import ImageRef, Shard
from pipeline.store import open_store
from tests.pipeline.archive import image_bytes, put, restore_job, write_archive
from tests.pipeline.jobs import again, run_job, summary_of

LAYOUT = Layout("0123456789abcdef")


@pytest.fixture
def settings(source: Path, destination: Path, tiny_prior: str) -> RestoreJob:
    """Four images in two shards."""
    write_archive(source, 4)
    return restore_job(source, destination, tiny_prior, runtime={"shard_size": 2})


def counts(job: Job) -> tuple[int, int]:
    """Inputs with a row and inputs to do."""
    summary = summary_of(job)
    return summary.images, summary.to_do


def test_a_job_that_was_interrupted_has_inputs_to_do_until_it_is_finished(settings) -> None:
    assert counts(run_job(settings, slice(0))) == (0, 4)
    assert counts(run_job(settings, slice(1))) == (2, 2)
    assert counts(run_job(settings)) == (4, 0)


def test_an_image_that_was_replaced_is_to_do_until_its_new_version_was_tried(settings, source) -> None:
    run_job(settings)
    put(source, "album/00.png", image_bytes(9))
    put(source, "new.png", image_bytes(10))
    job = open_job(settings)
    assert counts(job) == (4, 0)  # no run has looked at the source
    plan_job(job)
    assert counts(job) == (4, 2)
    run_job(settings)
    assert counts(job) == (5, 0)


def test_an_old_version_that_nobody_tried_is_not_to_do_where_the_new_one_has_its_row(settings, source) -> None:
    job = run_job(settings, slice(1))
    put(source, "album/03.png", image_bytes(9))
    run_job(settings, slice(1, None))
    assert counts(job) == (3, 1)  # album/02.png waits in the shard of the old album/03.png
    run_job(settings)
    assert counts(job) == (4, 0)


def test_a_retry_that_was_interrupted_has_inputs_to_do_and_its_job_has_none(settings, source) -> None:
    put(source, "a.png", b"torn")
    put(source, "b.png", b"torn, too")
    job = run_job(settings)
    retried = again(settings, shard_size=1)
    retry = run_job(retried, slice(1))
    assert (counts(job), counts(retry)) == ((6, 0), (1, 1))
    assert run_job(retried).id == retry.id
    assert (counts(job), counts(retry)) == ((6, 0), (2, 0))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_a_look_at_each_version_tells(tmp_path, seed) -> None:
    rng, store = random.Random(seed), open_store(str(tmp_path), writable=True)
    done, rows, newest = set[str](), 0, dict[str, bool]()
    for generation in range(4):
        keys = rng.sample(range(12), rng.randint(1, 10))
        refs = [ImageRef(key=f"{key}.png", etag=str(generation), size=1) for key in keys]
        shards = [Shard(tuple(refs[at : at + 3])) for at in range(0, len(refs), 3)]
        planned = list[PlanRow]()
        for shard in shards:
            committed = rng.random() < 0.5
            if committed:
                done.add(LAYOUT.part(shard.id))
                rows += len(shard.images)
            for ref in shard.images:
                newest[ref.key] = committed
                planned.append(
                    PlanRow(
                        shard=shard.id,
                        key=ref.key,
                        etag=ref.etag,
                        size=1,
                        output_key=None,
                        refusal=None,
                        refusal_type="",
                    )
                )
        store.create(LAYOUT.plan(generation), GENERATIONS.encode(planned))
    assert inputs_to_do(store, LAYOUT, done, rows=rows) == sum(not committed for committed in newest.values())
