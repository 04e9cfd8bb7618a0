"""Restorations that are not trusted: kept apart, delivered or failed, as the job says."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage import data

from pipeline.images.codec import read_provenance
from tests.pipeline.archive import put, restore_job, snapshot, write_archive
from tests.pipeline.jobs import again, run_job, summary_of
from tests.pipeline.rows import read_manifest
from tests.pipeline.shard_runs import run


def blurred() -> bytes:
    """A photograph out of focus, which an enlargement takes for a small sharp one."""
    image = Image.fromarray(data.astronaut()[:96, 170:266]).filter(ImageFilter.GaussianBlur(2))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def doubtful(source: Path) -> str:
    write_archive(source, 1)
    put(source, "blurred.png", blurred())
    return "blurred.png"


def test_a_doubtful_image_is_kept_apart_with_its_reasons(source, destination, opened, doubtful) -> None:
    job, worker, shards = opened(runtime={"on_doubt": "aside"}, result={"steps": 1})
    rows = {row.source_key: row for row in run(worker, shards[0])}
    row = rows[doubtful]
    assert (row.status, rows["album/00.png"].status) == ("set_aside", "restored")
    assert rows["album/00.png"].doubts == []
    assert row.doubts is not None
    assert row.doubts[0].startswith("the image is softer")
    assert not (destination / doubtful).exists()
    kept = (destination / job.layout.aside(doubtful)).read_bytes()
    assert (row.output_key, row.output_size) == (doubtful, len(kept))
    assert read_provenance(kept) == f"{job.id}:{row.source_sha256}"


def test_an_attempt_that_died_is_repeated_without_another_byte(source, destination, opened, doubtful) -> None:
    _, worker, shards = opened(runtime={"on_doubt": "aside"}, result={"steps": 1})
    first = run(worker, shards[0])
    before = snapshot(destination)
    (part,) = destination.glob(".deqir/*/manifest/*")
    part.unlink()
    assert [(row.status, row.output_sha256) for row in run(worker, shards[0])] == [
        (row.status, row.output_sha256) for row in first
    ]
    after = snapshot(destination)
    parts = {name for name in before if "/manifest/" in name}
    assert {name: value for name, value in after.items() if name not in parts} == {
        name: value for name, value in before.items() if name not in parts
    }


def test_an_image_that_an_attempt_delivered_stays_delivered(source, destination, opened, doubtful) -> None:
    _, worker, shards = opened(runtime={"on_doubt": "write"}, result={"steps": 1})
    run(worker, shards[0])
    (part,) = destination.glob(".deqir/*/manifest/*")
    part.unlink()
    _, worker, shards = opened(runtime={"on_doubt": "aside"}, result={"steps": 1})
    assert {row.status for row in run(worker, shards[0])} == {"restored"}
    assert not list(destination.glob(".deqir/*/aside/**/*.png"))


def test_write_delivers_a_doubtful_image_and_says_so(source, destination, opened, doubtful) -> None:
    _, worker, shards = opened(runtime={"on_doubt": "write"}, result={"steps": 1})
    row = {row.source_key: row for row in run(worker, shards[0])}[doubtful]
    assert (row.status, row.operator_suspect, bool(row.doubts)) == ("restored", True, True)
    assert (destination / doubtful).exists()


def test_fail_keeps_nothing_and_names_the_reasons(source, destination, opened, doubtful) -> None:
    _, worker, shards = opened(runtime={"on_doubt": "fail"}, result={"steps": 1})
    row = {row.source_key: row for row in run(worker, shards[0])}[doubtful]
    assert (row.status, row.error_type) == ("failed", "DoubtError")
    assert row.doubts
    assert row.doubts[0] in str(row.error)
    assert not list(destination.glob(f"**/{doubtful}"))


def test_a_retry_leaves_images_set_aside_alone_and_restores_the_rest(source, destination, tiny_prior, doubtful) -> None:
    put(source, "torn.png", b"not an image")
    settings = restore_job(source, destination, tiny_prior, runtime={"on_doubt": "aside"}, result={"steps": 1})
    job = run_job(settings)
    summary = summary_of(job)
    assert (summary.counts.set_aside, [each.key for each in summary.aside]) == (1, [doubtful])
    assert not summary.is_complete
    retry = run_job(again(settings))
    assert [row.source_key for row in read_manifest(str(destination), retry.id)] == ["torn.png"]


def test_a_consistency_is_of_the_pixels_that_are_stored(source, destination, opened) -> None:
    """White pixels beside black ones: whatever the network wants beyond white is cut off before it is measured."""
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::3] = 255
    buffer = io.BytesIO()
    Image.fromarray(stripes).save(buffer, "PNG")
    put(source, "stripes.png", buffer.getvalue())
    _, worker, shards = opened(result={"output_format": "jpeg", "quality": 40})
    (row,) = run(worker, shards[0])
    written = np.asarray(Image.open(destination / "stripes.jpg")).astype(float) / 127.5 - 1
    y = stripes / 127.5 - 1
    again = written.reshape(16, 2, 16, 2, 3).mean((1, 3))
    assert row.data_consistency == pytest.approx(np.linalg.norm(again - y) / np.linalg.norm(y), rel=1e-4)
