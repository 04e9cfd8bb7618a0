"""Shards are run, tried again and abandoned alike in this process and on Ray actors."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError, ShardsAbandonedError, StoreUnavailableError
from pipeline.execution.local import LocalExecutor
from pipeline.execution.progress import Progress
from pipeline.execution.protocol import Executor
from pipeline.job.job import Job, open_job, plan_job
from pipeline.shards import Shard, ShardReport
from pipeline.status import Counts
from pipeline.worker.build import make_worker
from pipeline.worker.worker import ShardWorker
from tests.pipeline.archive import image_bytes, pixels, put, restore_job, write_archive
from tests.pipeline.faults import MARKED_WIDTH, Fault, faulty_worker, wait_until
from tests.pipeline.jobs import ends, ray_executor, summary_of, worker_builder
from tests.pipeline.shard_runs import assert_same_image
from tests.processes import ROOT, python

IMAGES = 6


@dataclass(frozen=True)
class Case:
    """A job of four shards with two images each, one of them marked, and how to run it."""

    job: Job
    shards: tuple[Shard, ...]
    faults: Path

    @property
    def build(self) -> Callable[[], ShardWorker]:
        return worker_builder(self.job)

    def building(self, fault: Fault, *, times: int) -> Callable[[], ShardWorker]:
        return partial(faulty_worker, self.build, fault, times, self.faults)

    @property
    def marked(self) -> Shard:
        (shard,) = [shard for shard in self.shards if any("marked" in ref.key for ref in shard.images)]
        return shard


@pytest.fixture
def case(tmp_path: Path, tiny_prior: str) -> Case:
    write_archive(tmp_path / "source", IMAGES)
    put(tmp_path / "source", "marked.png", image_bytes(50, size=(MARKED_WIDTH, 16)))
    put(tmp_path / "source", "notes.txt", b"a skipped one, in the marked shard")
    (tmp_path / "faults").mkdir()
    job = open_job(restore_job(tmp_path / "source", tmp_path / "destination", tiny_prior, runtime={"shard_size": 2}))
    return Case(job=job, shards=plan_job(job).shards, faults=tmp_path / "faults")


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.ray)])
def executor(request: pytest.FixtureRequest) -> Executor:
    if request.param == "local":
        return LocalExecutor(attempts=3)
    request.getfixturevalue("ray_cluster")
    return ray_executor(attempts=3)


def run(executor: Executor, case: Case, build: Callable[[], ShardWorker]) -> list[Progress]:
    """Run all shards; returns what was told of the progress."""
    told: list[Progress] = []
    list(executor.run(case.shards, build, told.append))
    return told


def test_every_shard_is_committed_once_and_the_progress_ends_at_all_images(executor, case) -> None:
    told: list[Progress] = []
    reports = list(executor.run(case.shards, case.build, told.append))
    assert sorted(report.shard_id for report in reports) == sorted(shard.id for shard in case.shards)
    assert Counter(ends(case.job).values()) == {"restored": IMAGES + 1, "skipped": 1}
    assert told[-1] == Progress(counts=Counts(restored=IMAGES + 1, skipped=1))
    assert all(progress.done <= IMAGES + 2 for progress in told)


def test_shards_that_another_run_committed_are_told_apart(executor, case) -> None:
    list(LocalExecutor().run(case.shards[:2], case.build, lambda progress: None))
    told = run(executor, case, case.build)
    assert (told[-1].elsewhere, told[-1].done) == (4, IMAGES + 2)


def test_no_shards_start_nothing(executor) -> None:
    def unbuildable() -> ShardWorker:
        raise AssertionError("built for nothing")

    assert list(executor.run([], unbuildable, lambda progress: None)) == []


def test_a_shard_that_fails_twice_is_committed_at_the_third_attempt(executor, case) -> None:
    told = run(executor, case, case.building("raise", times=2))
    assert len(list(case.faults.iterdir())) == 2
    assert len(ends(case.job)) == IMAGES + 2
    assert told[-1] == Progress(counts=Counts(restored=IMAGES + 1, skipped=1))
    assert max(progress.done for progress in told) == IMAGES + 2


def test_a_poison_shard_is_abandoned_by_name_while_the_others_finish(executor, case, caplog) -> None:
    with pytest.raises(ShardsAbandonedError, match=case.marked.id) as caught:
        run(executor, case, case.building("raise", times=99))
    assert "RuntimeError: the marked image does not agree with us" in str(caught.value)
    assert len(list(case.faults.iterdir())) == 3
    assert len(ends(case.job)) == IMAGES
    assert run(executor, case, case.build)[-1].done == IMAGES + 2
    assert len(ends(case.job)) == IMAGES + 2


def test_what_the_user_has_to_correct_stops_at_once(executor, case) -> None:
    with pytest.raises(ConfigurationError, match="cannot be done here"):
        run(executor, case, case.building("configuration", times=99))
    assert len(list(case.faults.iterdir())) == 1


def test_a_worker_that_cannot_be_built_says_why(executor, case) -> None:
    broken = partial(make_worker, case.job.config, case.job.layout, "another digest")
    with pytest.raises(ConfigurationError, match="other weights"):
        run(executor, case, broken)


def test_a_store_that_never_answers_stops_the_run_before_every_shard_had_its_attempts(case) -> None:
    for ref in ("a", "b", "c"):
        put(Path(case.job.config.source), f"{ref}.png", image_bytes(1, size=(MARKED_WIDTH, 16)))
    shards = [
        Shard((ref,)) for shard in plan_job(case.job).shards for ref in shard.images if len(ref.key) == len("a.png")
    ]
    assert len(shards) == 3
    with pytest.raises(StoreUnavailableError, match="no answer"):
        list(LocalExecutor(attempts=3).run(shards, case.building("unavailable", times=99), lambda progress: None))
    assert len(list(case.faults.iterdir())) == 3


def test_progress_counts_inside_a_running_shard(case, monkeypatch) -> None:
    monkeypatch.setattr("pipeline.execution.local.PROGRESS_SECONDS", 0)
    whole = Shard(tuple(ref for shard in case.shards for ref in shard.images))
    told: list[Progress] = []
    list(LocalExecutor().run([whole], case.build, told.append))
    assert [progress.done for progress in told] == [*range(1, IMAGES + 3), IMAGES + 2]


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
class TestRayAlone:
    """What only another process can do."""

    def test_a_killed_actor_is_replaced_and_its_shard_tried_again(self, case) -> None:
        killers = threading.Thread(target=lambda: os.kill(wait_for_fault(case.faults), signal.SIGKILL))
        killers.start()
        told = run(ray_executor(), case, case.building("hang", times=1))
        killers.join()
        assert told[-1] == Progress(counts=Counts(restored=IMAGES + 1, skipped=1))
        assert max(progress.done for progress in told) == IMAGES + 2
        assert len(ends(case.job)) == IMAGES + 2

    def test_workers_import_what_the_command_imports_and_not_what_lies_where_it_is_run(self, case, tmp_path) -> None:
        there = tmp_path / "elsewhere"
        put(there, "pipeline/__init__.py", b"raise ImportError('another version of this program')")
        runtime = case.job.config.runtime.model_copy(update={"executor": "ray", "actors": 1})
        job = case.job.config.model_copy(update={"runtime": runtime})
        put(there, "job.json", job.model_dump_json().encode())
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        drive = python(ROOT / "tests/pipeline/drive.py", "job.json", env=environment, cwd=there)
        assert drive.returncode == 0, drive.stderr
        assert len(ends(case.job)) == IMAGES + 2

    def test_a_process_that_dies_before_any_image_is_taken_up_has_its_shard_abandoned(self, case) -> None:
        executor = ray_executor(actors=1, attempts=1)
        with pytest.raises(ShardsAbandonedError, match=case.marked.id):
            list(executor.run([case.marked], partial(os._exit, 137), lambda progress: None))
        assert not ends(case.job)

    def test_leaving_early_ends_the_actors_at_work(self, case) -> None:
        shards = sorted(case.shards, key=lambda shard: shard != case.marked)
        with closing(ray_executor().run(shards, case.building("hang", times=1), lambda progress: None)) as reports:
            assert isinstance(next(reports), ShardReport)
            pid = wait_for_fault(case.faults)
        wait_until(lambda: not Path(f"/proc/{pid}").exists())

    def test_progress_is_told_while_a_shard_is_at_work(self, case, tmp_path, tiny_prior) -> None:
        seen = threading.Event()
        # so many steps that the first image is written, and told of, long before the marked one's turn
        slow = restore_job(Path(case.job.config.source), tmp_path / "slow", tiny_prior, result={"steps": 200})
        job = open_job(slow)
        whole = Shard(tuple(ref for shard in plan_job(job).shards for ref in shard.images))
        case = replace(case, job=job, shards=(whole,))

        def on_progress(progress: Progress) -> None:
            if progress.done and not seen.is_set():
                seen.set()
                os.kill(wait_for_fault(case.faults), signal.SIGKILL)

        (report,) = ray_executor(actors=1).run([whole], case.building("hang", times=1), on_progress)
        assert seen.is_set()
        assert report.counts.total == IMAGES + 2

    def test_the_pixels_are_those_of_one_process_on_one_actor_or_two(self, case, tmp_path, tiny_prior) -> None:
        outputs = []
        executors = {"alone": LocalExecutor(), "one": ray_executor(actors=1), "two": ray_executor(actors=2)}
        for name, executor in executors.items():
            settings = {"shard_size": 3, "batch_size": 4 if name == "two" else 1}
            job = open_job(restore_job(Path(case.job.config.source), tmp_path / name, tiny_prior, runtime=settings))
            list(executor.run(plan_job(job).shards, worker_builder(job), lambda progress: None))
            assert summary_of(job).counts.restored == IMAGES + 1
            outputs.append({path.name: pixels(path) for path in (tmp_path / name).rglob("*.png")})
        for other in outputs[1:]:
            assert other.keys() == outputs[0].keys()
            for name, image in other.items():
                assert_same_image(image, outputs[0][name])


def test_a_failed_attempt_is_one_line_and_an_abandoned_shard_has_its_traceback(case, caplog) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(ShardsAbandonedError):
        run(LocalExecutor(attempts=2), case, case.building("raise", times=99))
    records = [record for record in caplog.records if record.name == "deqir.shards"]
    assert [bool(record.exc_info) for record in records] == [False, True]
    assert "attempt=1 of=2 next=retry" in records[0].getMessage()


def wait_for_fault(folder: Path) -> int:
    """The process in which a fault happened."""
    wait_until(lambda: list(folder.iterdir()))
    (file, *_) = folder.iterdir()
    return int(file.name.split("-")[0])
