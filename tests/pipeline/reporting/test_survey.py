"""What is told of a job is what a plain look at all its rows tells, however many they are and however they are cut."""

from __future__ import annotations

import random
import statistics
import tracemalloc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.keys import Layout
from pipeline.manifest.brief import decode_briefs
from pipeline.manifest.schema import ManifestRow, encode_part
from pipeline.planning.plan import create_plan
from pipeline.reporting.even_choice import Sample
from pipeline.reporting.survey import MOST_SAMPLED, survey_of, worst_of
from pipeline.shards import ImageRef, Shard
from pipeline.store import Store, StoredObject, open_store
from tests.pipeline.rows import row

JOB = "0123456789abcdef"
BEGAN = datetime(2031, 7, 9, 20, 5, tzinfo=UTC)


def some_row(rng: random.Random, number: int) -> ManifestRow:
    """A row as it may be of an image of that number."""
    key = f"album/{number:05d}.png"
    start = BEGAN + timedelta(seconds=rng.uniform(0, 1000))
    status = rng.choice(["restored"] * 6 + ["failed", "conflict", "skipped"])
    if status != "restored":
        ended = {"error_type": "DecodeError", "error": f"damaged in place {number}"}
        return row(source_key=key, status=status, started_at=start, finished_at=start, **ended)
    measured = rng.random() < 0.5
    return row(
        source_key=key,
        output_key=key,
        status=status,
        width=rng.choice([32, 20_000]),
        height=1000,
        rounds=(rounds := rng.randint(1, 9)),
        nfe=20 * rounds,
        fallback=rng.choice([None, True, False]),
        operator_suspect=rng.choice([None, True, False]),
        samples=rng.choice([None, 4]),
        residual_history=rng.choice([None, [], [rng.random() for _ in range(rounds)]]),
        solve_seconds=rng.random(),
        psnr=rng.uniform(20, 40) if measured else None,
        psnr_given=rng.uniform(20, 40) if measured else None,
        psnr_start=rng.uniform(20, 40) if measured else None,
        ssim=rng.random() if measured else None,
        started_at=start,
        finished_at=start + timedelta(seconds=rng.uniform(0, 60)),
    )


def written(folder: Path, rows: Sequence[ManifestRow], *, size: int) -> Store:
    """A job of these rows in parts of that size, in no order, and with no plan."""
    store = open_store(str(folder), writable=True)
    parts = [rows[at : at + size] for at in range(0, len(rows), size)]
    for number, part in enumerate(parts):
        store.create(Layout(JOB).part(f"{number * 7919 % 10_007:05d}"), encode_part(part))
    return store


def mean(values: Iterable[float | None]) -> Any:
    return pytest.approx(statistics.fmean(value for value in values if value is not None), rel=1e-12)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_job_in_numbers_is_what_all_its_rows_say(tmp_path, size) -> None:
    rng = random.Random(size)
    rows = [some_row(rng, number) for number in range(80)]
    found = survey_of(written(tmp_path, rows, size=size), JOB)
    restored = [each for each in rows if each.status == "restored"]
    bad = [each for each in rows if each.status in ("failed", "conflict")]
    told = found.summary
    assert (told.images, told.counts.restored, told.replaced, told.restored_since) == (80, len(restored), 0, 0)
    for name, status in (("failed", "failed"), ("skipped", "skipped"), ("conflicts", "conflict")):
        assert getattr(told.counts, name) == sum(each.status == status for each in rows) > 0
    assert [(each.key, each.status, each.error) for each in told.failures] == [
        (each.source_key, each.status, each.error) for each in bad
    ]
    assert told.fallbacks == sum(each.fallback is True for each in restored)
    assert told.suspects == sum(each.operator_suspect is True for each in restored)
    assert told.sampled == sum(each.samples == 4 for each in restored)
    assert (told.rounds, told.nfe) == (sum(each.rounds or 0 for each in restored), 20 * told.rounds)
    assert told.seconds == pytest.approx(sum(each.solve_seconds or 0 for each in restored))
    assert told.measured == sum(each.psnr is not None for each in restored)
    for name in ("psnr", "psnr_given", "psnr_start", "ssim"):
        assert getattr(told, name) == mean(getattr(each, name) for each in restored)
    assert told.started_at == min(each.started_at for each in rows)
    assert told.finished_at == max(each.finished_at for each in rows)
    assert sorted(each.source_key for each in found.restored) == [
        each.source_key for each in restored if each.width == 32
    ]
    histories = [each.residual_history for each in rows if each.residual_history]
    assert sorted(found.histories) == sorted(histories)
    rounds = max(map(len, histories))
    assert list(found.worst) == [max(each[min(k, len(each) - 1)] for each in histories) for k in range(rounds)]


def test_a_psnr_of_what_was_given_is_told_only_if_each_measured_image_has_one(tmp_path) -> None:
    rows = [row(source_key=key, status="restored", psnr=30.0, psnr_given=20.0) for key in "abc"]
    lacking = row(source_key="d", status="restored", psnr=30.0)
    assert survey_of(written(tmp_path / "all", rows, size=2), JOB).summary.psnr_given == 20.0
    assert survey_of(written(tmp_path / "some", [*rows, lacking], size=2), JOB).summary.psnr_given is None


def test_a_job_without_rows_has_no_numbers(tmp_path) -> None:
    found = survey_of(open_store(str(tmp_path), writable=True), JOB)
    assert (found.summary.images, found.summary.psnr, found.summary.started_at) == (0, None, None)
    assert (found.restored, found.histories, found.worst) == ((), (), ())


def test_of_an_input_in_several_versions_the_newest_counts_alone(tmp_path) -> None:
    """Of a hundred inputs ten were replaced once; the older rows were the better and the longer ones."""
    store = open_store(str(tmp_path), writable=True)
    versions = [(f"{number:02d}.png", "old") for number in range(100)]
    versions += [(f"{number:02d}.png", "new") for number in range(0, 100, 10)]
    refs = [ImageRef(key=key, etag=etag, size=1, output_key=f"{etag}/{key}") for key, etag in versions]
    create_plan(store, Layout(JOB), refs, shard_size=8)
    for at in range(0, len(refs), 8):
        shard = Shard(tuple(refs[at : at + 8]))
        rows = [
            row(
                source_key=ref.key,
                source_etag=ref.etag,
                output_key=ref.output_key,
                status="restored",
                psnr=20.0 if ref.etag == "new" else 30.0,
                rounds=1 if ref.etag == "new" else 5,
                width=8,
                height=8,
                started_at=BEGAN + timedelta(minutes=ref.etag == "new"),
            )
            for ref in shard.images
        ]
        store.create(Layout(JOB).part(shard.id), encode_part(rows))
    found = survey_of(store, JOB)
    assert (found.summary.counts.restored, found.summary.replaced) == (100, 10)
    assert found.summary.rounds == 90 * 5 + 10
    assert found.summary.psnr == pytest.approx((90 * 30 + 10 * 20) / 100)
    shown = {each.source_key: each.output_key for each in found.restored}
    assert len(found.restored) == len(shown) == 100
    assert {shown[f"{number:02d}.png"] for number in (0, 50, 55)} == {"new/00.png", "new/50.png", "old/55.png"}


@dataclass(slots=True)
class Counting:
    """A store that keeps which objects were read."""

    store: Store
    read: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def get(self, key: str, /, *, limit: int) -> StoredObject:
        self.read.append(key)
        return self.store.get(key, limit=limit)


def test_each_part_is_read_once_where_nothing_failed_or_was_replaced(tmp_path) -> None:
    rows = [row(source_key=f"{number}.png", status="restored") for number in range(60)]
    store = Counting(written(tmp_path, rows, size=2))
    assert survey_of(store, JOB).summary.counts.restored == 60  # type: ignore[arg-type]
    assert len(store.read) == len(set(store.read)) == 30


def peak(store: Store) -> int:
    """Bytes that Python held at most for a look at a job."""
    tracemalloc.start()
    assert len(survey_of(store, JOB).histories) == 640
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_what_a_look_at_a_job_takes_of_memory_hardly_grows_with_its_rows(tmp_path) -> None:
    """Of 1,280 and of 5,120 rows with 100 residuals the samples have 640; the rows themselves take 7,000 bytes each."""
    history = [1 / (1 + number) for number in range(100)]
    few, many = (
        [
            row(source_key=f"{number:06d}.png", status="restored", width=8, height=8, residual_history=history)
            for number in range(count)
        ]
        for count in (1280, 5120)
    )
    stores = [written(tmp_path / str(len(rows)), rows, size=64) for rows in (few, many)]
    small, large = map(peak, stores)
    assert large < 1.5 * small < 10 * 2**20


@given(counts=st.lists(st.integers(0, 40), max_size=12), most=st.integers(1, 20))
def test_a_sample_is_everything_or_is_bounded_and_even(counts, most) -> None:
    sample = Sample[int](most)
    number = 0
    for count in counts:
        sample.add(range(number, number + count))
        number += count
    assert len(sample.chosen) <= most
    if number <= most:
        assert sample.chosen == list(range(number))
    else:
        assert 2 * len(sample.chosen) >= most
        assert sample.chosen[0] == 0
        assert len({later - sooner for sooner, later in pairwise([*sample.chosen])}) <= 1


@given(st.lists(st.lists(st.floats(0, 10), max_size=5), max_size=12), st.integers(1, 5))
def test_the_worst_of_all_images_is_that_of_the_worst_of_parts(histories, size) -> None:
    worst = list[float]()
    for at in range(0, len(histories), size):
        worst = worst_of([*histories[at : at + size], worst])
    assert worst == worst_of(histories)


def test_more_images_than_are_sampled_are_shown_evenly(tmp_path) -> None:
    count = 3 * MOST_SAMPLED
    rows = [row(source_key=f"{number:05d}.png", status="restored", width=8, height=8) for number in range(count)]
    found = survey_of(written(tmp_path, rows, size=500), JOB)
    numbers = sorted(int(each.source_key[:5]) for each in found.restored)
    assert 500 <= len(numbers) <= MOST_SAMPLED
    assert max(later - sooner for sooner, later in pairwise(numbers)) <= 8
    assert found.summary.counts.restored == count


def test_a_row_in_brief_is_the_row(tmp_path) -> None:
    rng = random.Random(0)
    rows = [some_row(rng, number) for number in range(30)]
    briefs, histories = decode_briefs(encode_part(rows))
    assert [(each.source_key, each.status, each.psnr, each.started_at) for each in briefs] == [
        (each.source_key, each.status, each.psnr, each.started_at) for each in rows
    ]
    assert histories == [each.residual_history for each in rows if each.residual_history]
