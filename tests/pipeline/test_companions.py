"""Masks and guides as files: which bytes were used for an image, how large they may be, and what if they change."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError
from pipeline.job import open_job, plan_job
from pipeline.manifest import ManifestRow
from tests.pipeline.archive import image_bytes, put, restore_job, snapshot, write_archive
from tests.pipeline.faults import watched
from tests.pipeline.files import chunk, noise, saved
from tests.pipeline.shard_runs import run, worker_of

SIZE = (24, 16)


def mask_bytes(*, at: int, size: tuple[int, int] = SIZE) -> bytes:
    """A mask with one scratch, two pixels wide."""
    plane = np.zeros(size[::-1], np.uint8)
    plane[:, at : at + 2] = 255
    return saved(plane)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def by_key(rows: list[ManifestRow]) -> dict[str, ManifestRow]:
    return {row.source_key: row for row in rows}


def retried(job: RestoreJob) -> dict[str, ManifestRow]:
    """What became of those that failed, after another try of the job."""
    job = open_job(RestoreJob.model_validate(job.model_dump() | {"retry": True}))
    return by_key(run(worker_of(job), plan_job(job).shards[0]))


def test_a_row_has_the_digest_of_the_mask_that_its_image_was_read_with(
    opened: Callable[..., Any], source: Path, tmp_path: Path
) -> None:
    """Of a broken mask and of a torn image's, too, so that a retry shows what was replaced in between."""
    keys = write_archive(source, 4, size=SIZE)
    put(source, keys[1], b"torn")
    masks = tmp_path / "masks"
    for n, key in enumerate(keys[:3]):
        put(masks, key, mask_bytes(at=3 + n))
    put(masks, keys[2], b"no image")
    job, worker, shards = opened(degradation={"task": "inpaint", "masks": str(masks)})
    rows = by_key(run(worker, shards[0]))
    assert [rows[key].status for key in keys] == ["restored", "failed", "failed", "failed"]
    assert [rows[key].error_type for key in keys[1:]] == ["DecodeError", "MaskError", "MaskError"]
    assert [rows[key].mask_sha256 for key in keys] == [*(digest(masks / key) for key in keys[:3]), None]
    assert {row.guide_sha256 for row in rows.values()} == {None}

    put(masks, keys[2], mask_bytes(at=7))
    again = retried(job.config)
    assert again[keys[2]].status == "restored"
    assert again[keys[2]].mask_sha256 == digest(masks / keys[2]) != rows[keys[2]].mask_sha256


def test_one_mask_for_all_is_in_every_row_and_a_kernel_is_no_mask(
    opened: Callable[..., Any], source: Path, tmp_path: Path, tiny_prior: str
) -> None:
    write_archive(source, 2, size=SIZE)
    put(tmp_path, "mask.png", mask_bytes(at=5))
    _, worker, shards = opened(degradation={"task": "inpaint", "mask": str(tmp_path / "mask.png")})
    assert {row.mask_sha256 for row in run(worker, shards[0])} == {digest(tmp_path / "mask.png")}
    blur = {"task": "deblur", "blur": "file", "kernel_file": str(tmp_path / "mask.png")}
    job = open_job(restore_job(source, tmp_path / "sharp", tiny_prior, degradation=blur))
    assert {row.mask_sha256 for row in run(worker_of(job), plan_job(job).shards[0])} == {None}


def test_a_row_has_the_digest_of_its_images_guide(opened: Callable[..., Any], source: Path, tmp_path: Path) -> None:
    keys = write_archive(source, 3, size=SIZE, mode="L")
    guides = tmp_path / "guides"
    put(guides, keys[0], image_bytes(1, size=(6, 4)))
    put(guides, keys[1], b"no image")
    result = {"optimise": 1, "guide": str(guides), "guide_by": "colour"}
    _, worker, shards = opened(degradation={"task": "colorize"}, result=result)
    rows = by_key(run(worker, shards[0]))
    assert [rows[key].status for key in keys] == ["restored", "failed", "failed"]
    assert [rows[key].guide_sha256 for key in keys] == [*(digest(guides / key) for key in keys[:2]), None]
    assert {row.mask_sha256 for row in rows.values()} == {None}


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("samples", [1, 2])
def test_an_output_of_an_attempt_with_another_mask_is_not_taken_for_one_with_this(
    opened: Callable[..., Any], source: Path, destination: Path, tmp_path: Path, samples: int, replaced: bool
) -> None:
    """The first attempt dies between its output and its part; what it left is known again, or is in conflict."""
    keys = write_archive(source, 2, size=SIZE)
    masks = tmp_path / "masks"
    for key in keys:
        put(masks, key, mask_bytes(at=3))
    settings = {"degradation": {"task": "inpaint", "masks": str(masks)}, "result": {"samples": samples}}
    _, worker, shards = opened(**settings)

    def dies_once_the_first_is_written(request: Any) -> None:
        if request.tag.prepared.ref.key == keys[1]:
            while not (destination / keys[0]).exists():
                time.sleep(0.01)
            raise ConnectionResetError("the machine goes down")

    with pytest.raises(ConnectionResetError):
        watched(worker, dies_once_the_first_is_written).run(shards[0], lambda status: None)
    before = snapshot(destination)
    if replaced:
        put(masks, keys[0], mask_bytes(at=12))
        if samples > 1:
            (destination / keys[0]).unlink()  # its samples were written before it
    rows = by_key(run(worker, shards[0]))
    assert rows[keys[1]].status == "restored"
    assert rows[keys[0]].status == ("conflict" if replaced else "restored")
    assert rows[keys[0]].mask_sha256 == digest(masks / keys[0])
    if replaced:
        assert "another job, input, mask or guide" in str(rows[keys[0]].error)
    after = snapshot(destination)
    assert {path for path in before if after.get(path) != before[path]} <= {keys[0]}


def huge(side: int) -> bytes:
    """A PNG whose header says so many pixels a side, and which has none of them."""
    data = saved(noise(1, 1))
    header = side.to_bytes(4, "big") * 2 + data[24:29]
    return data[:8] + chunk(b"IHDR", header) + data[33:]


def test_a_mask_may_have_as_many_pixels_as_an_image_and_is_not_decoded_beyond(
    opened: Callable[..., Any], source: Path, tmp_path: Path, tiny_prior: str
) -> None:
    keys = write_archive(source, 3, size=SIZE)
    masks = tmp_path / "masks"
    put(masks, keys[0], mask_bytes(at=3))
    put(masks, keys[1], mask_bytes(at=3, size=(25, 16)))
    put(masks, keys[2], huge(20_000))
    settings = {"degradation": {"task": "inpaint", "masks": str(masks)}, "runtime": {"max_pixels": 24 * 16}}
    _, worker, shards = opened(**settings)
    rows = by_key(run(worker, shards[0]))
    assert [rows[key].status for key in keys] == ["restored", "failed", "failed"]
    assert "25 x 16 pixels, but max_pixels is 384" in str(rows[keys[1]].error)
    assert "20000 x 20000 pixels, but max_pixels is 384" in str(rows[keys[2]].error)
    for_all = {"task": "inpaint", "mask": str(masks / keys[2])}
    job = restore_job(source, tmp_path / "other", tiny_prior, degradation=for_all)
    with pytest.raises(ConfigurationError, match="20000 x 20000 pixels, but max_pixels is 64000000"):
        open_job(job)
    assert not (tmp_path / "other").exists()
