"""Masks and guides as files: which bytes were used for an image, how large they may be, and what if they change."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deqir.priors import BUNDLED
from deqir.settings import Defaults
from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError
from pipeline.inputs import side_files
from pipeline.inputs.side_files import check_match
from pipeline.job.job import open_job, plan_job
from pipeline.manifest.schema import ManifestRow
from pipeline.store import open_store
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


def test_a_row_has_the_digest_of_the_mask_that_its_image_was_read_with(opened, source, tmp_path) -> None:
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
    assert {(row.guide_sha256, row.guide, row.guide_by) for row in rows.values()} == {(None, None, None)}

    put(masks, keys[2], mask_bytes(at=7))
    again = retried(job.config)
    assert again[keys[2]].status == "restored"
    assert again[keys[2]].mask_sha256 == digest(masks / keys[2]) != rows[keys[2]].mask_sha256


def test_a_row_has_the_steps_and_the_noise_that_its_own_mask_asked_for(opened, source, tmp_path) -> None:
    """Short chains after the network that fills, long ones where there is a gap too wide for it."""
    keys, size = write_archive(source, 2, size=(48, 40)), (48, 40)
    masks, hole = tmp_path / "masks", np.zeros((40, 48), np.uint8)
    hole[8:30, 8:30] = 255
    put(masks, keys[0], mask_bytes(at=5, size=size))
    put(masks, keys[1], saved(hole))
    degradation, result = {"task": "inpaint", "masks": str(masks)}, {"prior": BUNDLED, "steps": 5}
    _, worker, shards = opened(degradation=degradation, result=result)
    rows = by_key(run(worker, shards[0]))
    found = [(rows[key].steps, rows[key].nfe, rows[key].start_noise) for key in keys]
    assert found == [(Defaults.MADE_STEPS,) * 2 + (Defaults.MADE_NOISE,), (5, 5, Defaults.GIVEN_NOISE)]


def test_one_mask_for_all_is_in_every_row_and_a_kernel_is_no_mask(opened, source, tmp_path, tiny_prior) -> None:
    write_archive(source, 2, size=SIZE)
    put(tmp_path, "mask.png", mask_bytes(at=5))
    _, worker, shards = opened(degradation={"task": "inpaint", "mask": str(tmp_path / "mask.png")})
    assert {row.mask_sha256 for row in run(worker, shards[0])} == {digest(tmp_path / "mask.png")}
    blur = {"task": "deblur", "blur": "file", "kernel_file": str(tmp_path / "mask.png")}
    job = open_job(restore_job(source, tmp_path / "sharp", tiny_prior, degradation=blur))
    assert {row.mask_sha256 for row in run(worker_of(job), plan_job(job).shards[0])} == {None}


def test_a_row_has_the_digest_of_its_images_guide(opened, source, tmp_path) -> None:
    keys = write_archive(source, 3, size=SIZE, mode="L")
    guides = tmp_path / "guides"
    put(guides, keys[0], image_bytes(1, size=(6, 4)))
    put(guides, keys[1], b"no image")
    result = {"optimise": 1, "guide": str(guides), "guide_by": "colour"}
    _, worker, shards = opened(degradation={"task": "colorize"}, result=result)
    rows = by_key(run(worker, shards[0]))
    assert [rows[key].status for key in keys] == ["restored", "failed", "failed"]
    assert [rows[key].guide_sha256 for key in keys] == [*(digest(guides / key) for key in keys[:2]), None]
    assert {(row.guide, row.guide_by) for row in rows.values()} == {(str(guides), "colour")}
    assert {row.mask_sha256 for row in rows.values()} == {None}


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("samples", [1, 2])
def test_an_output_of_an_attempt_with_another_mask_is_not_taken_for_one_with_this(
    opened, source, destination, tmp_path, samples, replaced
) -> None:
    """The first attempt dies between its output and its part; what it left is known again, or is in conflict."""
    keys = write_archive(source, 2, size=SIZE)
    masks = tmp_path / "masks"
    for key in keys:
        put(masks, key, mask_bytes(at=3))
    settings = {"degradation": {"task": "inpaint", "masks": str(masks)}, "result": {"samples": samples}}
    _, worker, shards = opened(**settings)

    def dies_once_the_first_is_written(request: Any) -> None:
        if request.tag.work.prepared.ref.key == keys[1]:
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
    opened, source, tmp_path, tiny_prior
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
    assert "25 x 16 pixels, but `max_pixels` is 384" in str(rows[keys[1]].error)
    assert "20000 x 20000 pixels, but `max_pixels` is 384" in str(rows[keys[2]].error)
    for_all = {"task": "inpaint", "mask": str(masks / keys[2])}
    job = restore_job(source, tmp_path / "other", tiny_prior, degradation=for_all)
    with pytest.raises(ConfigurationError, match="20000 x 20000 pixels, but `max_pixels` is 64000000"):
        open_job(job)
    assert not (tmp_path / "other").exists()


def beside(kind: str, place: Path | str) -> dict[str, Any]:
    """Settings of a job with a place for something that belongs to its images."""
    if kind == "masks":
        return {"degradation": {"task": "inpaint", "masks": str(place)}}
    return {"result": {"guide": str(place)}} if kind == "guide" else {"reference": place}


@pytest.mark.parametrize("kind", ["guide", "masks", "reference"])
def test_a_place_with_nothing_for_any_image_is_refused_before_anything_is_written(
    source, destination, tmp_path, tiny_prior, kind
) -> None:
    """With a key of each, so that one sees what is wrong; one file that belongs to one image is enough."""
    keys = write_archive(source, 3, size=SIZE)
    put(source, "notes.txt", b"taken in 1931")
    put(tmp_path / "other", "notes.txt", b"of no image")
    put(tmp_path / "other", "results/album/00.png", mask_bytes(at=3))
    job = restore_job(source, destination, tiny_prior, **beside(kind, tmp_path / "other"))
    with pytest.raises(ConfigurationError) as caught:
        open_job(job)
    told = str(caught.value)
    assert told.startswith(f"`{kind}` {tmp_path / 'other'} has nothing for any image of {source}: ")
    assert "a key there is notes.txt, an image's is album/00.png" in told
    (tmp_path / "other/notes.txt").unlink()
    with pytest.raises(ConfigurationError, match=r"a key there is results/album/00\.png, an image's is album/00\.png"):
        open_job(job)
    assert not destination.exists()
    put(tmp_path / "other", f"{keys[2]}.webp", b"of the last one, by its full name")
    assert plan_job(open_job(job)).waiting == 4


@pytest.mark.parametrize("kind", ["guide", "masks", "reference"])
def test_an_empty_place_is_refused_where_there_are_images_and_waited_for_where_there_are_none(
    source, destination, tmp_path, tiny_prior, kind
) -> None:
    (tmp_path / "empty").mkdir()
    job = restore_job(source, destination, tiny_prior, **beside(kind, tmp_path / "empty"))
    assert plan_job(open_job(job)).shards == ()
    put(source, "first.jpg", image_bytes(1))
    with pytest.raises(ConfigurationError, match=r"it holds no file, an image's is first\.jpg"):
        open_job(job)


def test_of_places_that_are_too_large_to_be_listed_before_the_plan_nothing_is_said(
    source, tmp_path, monkeypatch
) -> None:
    """They are planned as before; an image without a file then fails by itself."""
    monkeypatch.setattr(side_files, "LOOKED_AT", 3)
    write_archive(source, 3)
    put(tmp_path / "guides", "other.png", b"of no image")
    stores = [open_store(str(folder), writable=False) for folder in (source, tmp_path / "guides")]
    with pytest.raises(ConfigurationError, match="has nothing for any image"):
        check_match(*stores, name="guide")
    put(source, "album/03.png", image_bytes(3))
    check_match(*stores, name="guide")


@pytest.mark.s3
def test_a_prefix_of_a_bucket_is_held_against_another_one(s3_url) -> None:
    source, guides = (open_store(f"{s3_url}/{name}", writable=True) for name in ("in", "guides"))
    source.create("a/1.jpg", b"")
    guides.create("in/a/1.png", b"")
    with pytest.raises(
        ConfigurationError, match=rf"`guide` {s3_url}/guides .* is in/a/1\.png, an image's is a/1\.jpg;"
    ):
        check_match(source, guides, name="guide")
    guides.create("a/1.png", b"")
    check_match(source, guides, name="guide")
