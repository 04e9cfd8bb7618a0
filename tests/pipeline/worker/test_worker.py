"""A shard from start to commit, on real folders with a real network."""

from __future__ import annotations

import hashlib
import io
import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deqir.operators import ConvergenceError
from pipeline.errors import ObjectAccessError, StoreUnavailableError
from pipeline.shards import Shard
from pipeline.store import StoredObject
from tests.pipeline.archive import image_bytes, pixels, put, snapshot, write_archive
from tests.pipeline.faults import watched, with_denoiser
from tests.pipeline.shard_runs import assert_same_image, rows_of, run, worker_of


def write_bad_neighbours(source: Path) -> None:
    good = image_bytes(7)
    put(source, "bad/cut.png", good[: len(good) // 2])
    put(source, "bad/empty.jpg", b"")
    put(source, "bad/letter.jpg", b"Dear Sir or Madam,\n" * 20)
    put(source, "odd/dot.png", image_bytes(1, size=(1, 1)))
    put(source, "odd/notes.txt", b"taken in 1931")


def solid_white(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(buffer, "PNG")
    return buffer.getvalue()


def test_every_input_gets_exactly_one_row_and_bad_ones_stop_nobody(source, opened, caplog) -> None:
    good = write_archive(source, 3)
    write_bad_neighbours(source)
    _, worker, shards = opened(runtime={"shard_size": 100})
    with caplog.at_level(logging.WARNING):
        rows = {row.source_key: row for row in run(worker, shards[0])}
    assert len(rows) == len(rows_of(worker, shards[0])) == 8
    assert {key for key, row in rows.items() if row.status == "restored"} == {*good, "odd/dot.png"}
    assert rows["odd/notes.txt"].status == "skipped"
    assert rows["odd/notes.txt"].error
    errors = {key: rows[key].error_type for key in rows if rows[key].status == "failed"}
    assert errors == {"bad/cut.png": "DecodeError", "bad/empty.jpg": "EmptyFileError", "bad/letter.jpg": "DecodeError"}
    assert all(rows[key].error for key in errors)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    told = [record.getMessage() for record in warnings if record.name.startswith("deqir")]
    assert len(told) == len(errors)
    assert all("\n" not in line for line in told)


def test_a_row_tells_of_its_input_its_output_and_its_solve(source, destination, opened) -> None:
    put(source, "a.jpg", image_bytes(3, size=(20, 12), kind="JPEG"))
    job, worker, shards = opened(result={"steps": 4})
    (row,) = run(worker, shards[0])
    data, stored = (source / "a.jpg").read_bytes(), (destination / "a.png").read_bytes()
    assert row.source_sha256 == hashlib.sha256(data).hexdigest()
    assert (row.source_size, row.output_key, row.output_size) == (len(data), "a.png", len(stored))
    assert row.output_sha256 == hashlib.sha256(stored).hexdigest()
    assert (row.width, row.height, row.image_mode, row.bit_depth) == (40, 24, "RGB", 8)
    assert (row.job_id, row.shard_id) == (job.id, shards[0].id)
    assert (row.steps, row.rounds, row.nfe, row.window, row.converged) == (4, 4, 4, 1, True)
    assert row.prior_digest == job.prior_digest
    assert row.operator_parameters == {"scale": "2", "kernel": "average"}
    given, written = (pixels(path) / 127.5 - 1 for path in (source / "a.jpg", destination / "a.png"))
    again = written.reshape(12, 2, 20, 2, 3).mean((1, 3))
    assert row.data_consistency == pytest.approx(np.linalg.norm(again - given) / np.linalg.norm(given), rel=1e-4)
    assert row.started_at <= row.finished_at
    assert row.psnr is None
    assert pixels(destination / "a.png").shape == (24, 40, 3)


def test_a_report_tells_how_busy_the_solver_was(source, opened) -> None:
    write_archive(source, 5)
    put(source, "album/other.png", image_bytes(3, size=(24, 16)))
    _, worker, shards = opened(result={"steps": 4}, runtime={"batch_size": 2, "shard_size": 100})
    report = worker.run(shards[0], lambda status: None)
    # five images of one size and one of another, two a call: 3 + 1 batches of 4 steps
    assert (report.nfe, report.network_calls, report.occupancy) == (24, 16, 24 / 32)
    assert 0 < report.solve_seconds < report.seconds
    assert report.evaluations_per_second > report.images_per_second > 0
    assert {row.useful for row in rows_of(worker, shards[0])} == {1.0}


def test_running_a_shard_twice_changes_no_byte(source, destination, opened) -> None:
    write_archive(source, 3)
    _, worker, shards = opened()
    worker.run(shards[0], lambda status: None)
    before = snapshot(destination)
    assert worker.run(shards[0], lambda status: None).already_committed
    assert snapshot(destination) == before


def test_a_crash_before_the_commit_is_undone_and_its_outputs_are_known_again(source, destination, opened) -> None:
    write_archive(source, 3)
    _, worker, shards = opened()
    taken = []

    def dies_at_the_third(request) -> None:
        taken.append(request)
        if len(taken) == 3:
            while not list(destination.glob("album/*.png")):
                time.sleep(0.01)
            raise ConnectionResetError("the machine goes down")

    dying = watched(worker, dies_at_the_third)
    before = threading.active_count()
    with pytest.raises(ConnectionResetError):
        dying.run(shards[0], lambda status: None)
    assert threading.active_count() == before
    assert not list(destination.glob(".deqir/*/manifest/*"))
    written = {path: value for path, value in snapshot(destination).items() if path.endswith(".png")}
    assert written
    rows = run(worker, shards[0])
    assert [row.status for row in rows] == ["restored"] * 3
    after = snapshot(destination)
    assert {path: after[path] for path in written} == written
    for row in rows:
        assert row.output_sha256 == hashlib.sha256((destination / row.output_key).read_bytes()).hexdigest()


def test_another_jobs_object_is_a_conflict_and_left_alone(source, destination, opened) -> None:
    keys = write_archive(source, 3)
    _, first, shards = opened()
    run(first, shards[0])
    put(destination, "album/03.png", b"somebody's notes")
    put(source, "album/03.png", image_bytes(3))
    before = snapshot(destination)
    _, second, shards = opened(result={"seed": 1})
    rows = run(second, shards[0])
    assert {row.source_key: row.status for row in rows} == {
        **dict.fromkeys(keys, "conflict"),
        "album/03.png": "conflict",
    }
    assert all("another destination" in str(row.error) and row.nfe is None for row in rows)
    after = snapshot(destination)
    assert {path: after[path] for path in before} == before


def test_a_conflict_that_appears_during_the_solve_is_one_too(source, destination, opened) -> None:
    (key,) = write_archive(source, 1)
    _, worker, shards = opened()
    rows = run(watched(worker, lambda request: put(destination, key, b"somebody was faster")), shards[0])
    assert [row.status for row in rows] == ["conflict"]
    assert (destination / key).read_bytes() == b"somebody was faster"


def test_two_workers_on_one_shard_commit_it_once(source, destination, opened) -> None:
    write_archive(source, 4)
    job, _, shards = opened()
    reports = []
    both_ready = threading.Barrier(2)

    def work() -> None:
        worker = watched(worker_of(job), lambda request: both_ready.wait())
        reports.append(worker.run(shards[0], lambda status: None))

    pair = [threading.Thread(target=work) for _ in range(2)]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()
    assert sorted(report.already_committed for report in reports) == [False, True]
    for row in rows_of(worker_of(job), shards[0]):
        assert row.status == "restored"
        assert row.output_sha256 == hashlib.sha256((destination / row.output_key).read_bytes()).hexdigest()


def test_an_input_that_the_store_keeps_from_us_fails_alone(source, opened) -> None:
    keys = write_archive(source, 3)
    _, worker, shards = opened()

    class Archived:
        """A source one of whose objects is where it cannot be read from."""

        def __getattr__(self, name):
            return getattr(worker.source, name)

        def get(self, key: str, /, *, limit: int) -> StoredObject:
            if key == keys[1]:
                raise ObjectAccessError(f"{key} is in an archive tier")
            return worker.source.get(key, limit=limit)

    rows = {row.source_key: row for row in run(replace(worker, source=Archived()), shards[0])}
    assert rows[keys[1]].error_type == "UnreadableError"
    assert "archive tier" in str(rows[keys[1]].error)
    assert [rows[key].status for key in keys] == ["restored", "failed", "restored"]


def test_an_input_that_changed_or_vanished_since_the_plan_is_told_apart(source, opened) -> None:
    write_archive(source, 4)
    _, worker, shards = opened()
    (source / "album/00.png").unlink()
    put(source, "album/01.png", image_bytes(9, size=(8, 8)))
    same_size = bytearray((source / "album/02.png").read_bytes())
    same_size[-1] ^= 1
    put(source, "album/02.png", bytes(same_size))
    rows = {row.source_key: row for row in run(worker, shards[0])}
    for name in ("00", "01", "02"):
        assert rows[f"album/{name}.png"].error_type == "SourceChangedError"
    assert rows["album/03.png"].status == "restored"


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), None],
    ids=["python", "gpu", "torch on the CPU"],
)
def test_a_batch_too_large_for_memory_is_restored_image_by_image(source, opened, error) -> None:
    write_archive(source, 3)
    put(source, "album/huge.png", image_bytes(0, size=(17, 16)))
    _, worker, shards = opened(runtime={"batch_size": 3})
    prior, sizes = worker.solver.engine.prior, []

    def small_machine(x_t, alpha_bar):
        sizes.append(len(x_t))
        if len(x_t) > 1 or x_t.shape[-1] == 34:
            if error is None:
                torch.empty(2**50)  # a petabyte: the real exception
            raise error
        return prior(x_t, alpha_bar)

    small = with_denoiser(worker, small_machine)
    report = small.run(shards[0], lambda status: None)
    rows = rows_of(small, shards[0])
    assert sizes[0] == 3
    assert set(sizes[1:]) == {1}
    assert report.halvings == 1
    failures = {row.source_key: row.error_type for row in rows if row.status != "restored"}
    assert failures == {"album/huge.png": "OutOfMemoryError"}


def test_an_image_whose_operator_cannot_be_inverted_fails_alone(source, opened) -> None:
    write_archive(source, 2)
    put(source, "album/odd.png", solid_white(16, 16))
    _, worker, shards = opened(runtime={"batch_size": 3})
    prior, beside = worker.solver.engine.prior, []

    def failing(x_t, alpha_bar):
        white = x_t.mean((1, 2, 3)) > 0.7 * alpha_bar.to(x_t).sqrt()
        if white.any():
            beside.append(len(x_t) - 1)
            if len(beside) > 1:
                raise ConvergenceError("conjugate gradients stopped at 0.1, asked for 0.001")
        return prior(x_t, alpha_bar)

    rows = {row.source_key: row for row in run(with_denoiser(worker, failing), shards[0])}
    assert beside == [2, 2, 0]
    odd = rows.pop("album/odd.png")
    assert (odd.status, odd.error_type) == ("failed", "OperatorMismatchError")
    assert "stopped at 0.1" in str(odd.error)
    assert {(row.status, row.rounds, row.nfe) for row in rows.values()} == {("restored", 3, 3)}


def test_an_image_too_large_for_the_network_is_restored_in_tiles_and_its_row_says_so(
    source, destination, opened
) -> None:
    write_archive(source, 1)
    put(source, "album/large.png", image_bytes(5, size=(75, 50)))
    _, worker, shards = opened()
    prior = worker.solver.engine.prior

    def small_machine(x_t, alpha_bar):
        if x_t.shape[-2] * x_t.shape[-1] > 70 * 70:
            raise MemoryError
        return prior(x_t, alpha_bar)

    rows = {row.source_key: row for row in run(with_denoiser(worker, small_machine), shards[0])}
    assert {(row.status, row.rounds, row.nfe) for row in rows.values()} == {("restored", 3, 3)}
    assert (rows["album/00.png"].tile, rows["album/large.png"].tile) == (None, 64)
    short_of_memory = pixels(destination / "album/large.png")
    (destination / "album/large.png").unlink()
    _, asked, shards = opened(result={"tile": 64, "overlap": 16})
    rows = {row.source_key: row for row in run(asked, shards[0])}
    assert rows["album/large.png"].tile == 64
    assert_same_image(pixels(destination / "album/large.png"), short_of_memory)


def test_a_result_that_is_not_finite_is_a_failed_row_and_no_output(source, destination, opened) -> None:
    write_archive(source, 2)
    _, worker, shards = opened()
    prior, calls = worker.solver.engine.prior, []

    def breaks_at_first(x_t, alpha_bar):
        calls.append(len(x_t))
        return prior(x_t, alpha_bar) * (torch.nan if len(calls) == 1 else 1)

    rows = run(with_denoiser(worker, breaks_at_first), shards[0])
    assert {row.source_key: row.error_type for row in rows} == {"album/00.png": "NonFiniteError", "album/01.png": None}
    assert [path.name for path in destination.glob("album/*")] == ["01.png"]


def test_a_mask_of_another_size_fails_its_image_alone(source, destination, tmp_path, opened) -> None:
    write_archive(source, 2)
    put(source, "album/wide.png", image_bytes(4, size=(24, 16)))
    mask = np.zeros((16, 16), np.uint8)
    mask[4:9, 5:12] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    job, _, shards = opened(degradation={"task": "inpaint", "mask": str(tmp_path / "mask.png")})
    (tmp_path / "mask.png").unlink()  # workers read its copy in the destination
    worker = worker_of(job)
    rows = {row.source_key: row for row in run(worker, shards[0])}
    assert rows["album/wide.png"].error_type == "OperatorMismatchError"
    assert "mask" in str(rows["album/wide.png"].error)
    known = mask == 0
    for key in ("album/00.png", "album/01.png"):
        assert rows[key].status == "restored"
        given, restored = pixels(source / key), pixels(destination / key)
        # known pixels are kept up to float32 rounding before the rounding to 8 bits
        assert np.abs(given - restored)[known].max() <= 1
        assert np.abs(given - restored)[~known].max() > 1


def test_an_image_too_large_once_restored_is_refused_before_any_work(source, opened) -> None:
    write_archive(source, 1)
    put(source, "album/large.png", image_bytes(0, size=(20, 20)))
    _, worker, shards = opened(runtime={"max_pixels": 32 * 32})
    rows = {row.source_key: row for row in run(worker, shards[0])}
    assert rows["album/00.png"].status == "restored"
    assert rows["album/large.png"].error_type == "ImageTooLargeError"
    assert "40 x 40" in str(rows["album/large.png"].error)
    assert rows["album/large.png"].nfe is None


def test_a_store_that_does_not_answer_leaves_the_shard_uncommitted_and_no_thread_behind(source, opened) -> None:
    write_archive(source, 4)
    _, worker, shards = opened()
    before = threading.active_count()

    class Silent:
        """A destination that stops answering at the second output."""

        def __init__(self) -> None:
            self.created = 0

        def __getattr__(self, name):
            return getattr(worker.destination, name)

        def create(self, key: str, data: bytes, /) -> bool:
            self.created += 1
            if self.created > 1:
                raise StoreUnavailableError("no answer")
            return worker.destination.create(key, data)

    silent = Silent()
    broken = replace(worker, destination=silent, delivery=replace(worker.delivery, destination=silent))
    with pytest.raises(StoreUnavailableError):
        broken.run(shards[0], lambda status: None)
    assert threading.active_count() == before
    assert worker.run(shards[0], lambda status: None).counts.restored == 4


@pytest.mark.parametrize("crowd", [{"batch_size": 1}, {"batch_size": 3}, {"batch_size": 8, "prefetch": 8}])
def test_an_image_does_not_depend_on_its_shard_or_batch(source, destination, tmp_path, opened, crowd) -> None:
    keys = write_archive(source, 5)
    put(source, "album/other.png", image_bytes(3, size=(24, 16)))
    _, alone, shards = opened(runtime={"shard_size": 1})
    for shard in shards:
        run(alone, shard)
    apart = {key: pixels(destination / key) for key in keys}
    for path in destination.rglob("*.png"):
        path.unlink()
    whole = Shard(tuple(ref for shard in shards for ref in shard.images))
    _, crowded, _ = opened(runtime={"shard_size": 1, **crowd})
    run(crowded, whole)
    for key in keys:
        assert_same_image(pixels(destination / key), apart[key])
