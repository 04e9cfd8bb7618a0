"""Pictures for the summary: the part that changed, at full resolution, out of what the stores hold."""

from __future__ import annotations

import io
import logging

import numpy as np
from PIL import Image

from pipeline.config import RestoreJob
from pipeline.job.job import open_job, survey
from pipeline.manifest.brief import Brief
from pipeline.reporting.before_after import Exhibit, exhibits
from tests.pipeline.archive import image_bytes, pixels, put, restore_job, write_archive
from tests.pipeline.jobs import run_job


def shown(settings: RestoreJob, *, count: int = 4) -> tuple[Exhibit, ...]:
    job = run_job(settings)
    return exhibits(job.config, restored(settings), count=count)


def restored(job: RestoreJob) -> tuple[Brief, ...]:
    opened = open_job(job)
    return survey(opened.config.destination, opened.id).restored


def values(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        return np.asarray(image.convert("RGB")).astype(int)


def test_pictures_are_spread_evenly_over_the_archive(tmp_path, tiny_prior) -> None:
    write_archive(tmp_path / "in", 9)
    put(tmp_path / "in", "album/torn.jpg", b"not an image")
    found = shown(restore_job(tmp_path / "in", tmp_path / "out", tiny_prior))
    assert [each.key for each in found] == [f"album/{number:02d}.png" for number in (0, 2, 4, 6)]
    for each in found:
        before, after = values(each.before), values(each.after)
        assert before.shape == after.shape == (32, 32, 3)
        assert np.abs(after - pixels(tmp_path / "out" / each.key)).mean() < 6  # what JPEG costs
        small = pixels(tmp_path / "in" / each.key)
        assert np.abs(before.reshape(16, 2, 16, 2, 3).mean((1, 3)) - small).mean() < 6


def test_of_a_large_image_the_part_is_shown_that_changed_most(tmp_path, tiny_prior) -> None:
    mask = np.zeros((300, 700), np.uint8)
    mask[270:290, 660:700] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    put(tmp_path / "in", "wide.png", image_bytes(1, size=(700, 300)))
    damaged = np.asarray(Image.open(tmp_path / "in/wide.png")).copy()
    damaged[mask > 0] = 0
    Image.fromarray(damaged).save(tmp_path / "in/wide.png")
    degradation = {"task": "inpaint", "mask": str(tmp_path / "mask.png")}
    (found,) = shown(restore_job(tmp_path / "in", tmp_path / "out", tiny_prior, degradation=degradation))
    before, after = values(found.before), values(found.after)
    assert before.shape == after.shape == (256, 256, 3)
    assert np.abs(before - damaged[-256:, -256:].astype(int)).mean() < 6


def test_fewer_images_than_pictures_are_each_shown_once(tmp_path, tiny_prior) -> None:
    write_archive(tmp_path / "in", 2)
    job = restore_job(tmp_path / "in", tmp_path / "out", tiny_prior)
    assert [each.key for each in shown(job)] == ["album/00.png", "album/01.png"]
    assert exhibits(job, [], count=4) == ()


def test_what_cannot_be_read_any_more_is_left_out(tmp_path, tiny_prior, caplog) -> None:
    write_archive(tmp_path / "in", 3)
    job = restore_job(tmp_path / "in", tmp_path / "out", tiny_prior)
    shown(job)
    (tmp_path / "in/album/00.png").unlink()
    put(tmp_path / "out", "album/01.png", b"overwritten by somebody")
    with caplog.at_level(logging.WARNING):
        found = exhibits(job, restored(job), count=3)
    assert [each.key for each in found] == ["album/02.png"]
    assert caplog.text.count("image not shown") == 2
    gone = job.model_copy(update={"source": str(tmp_path / "nowhere")})
    assert exhibits(gone, restored(job), count=3) == ()


def test_of_an_image_that_was_replaced_the_newest_version_is_shown(tmp_path, tiny_prior) -> None:
    (key,) = write_archive(tmp_path / "in", 1)
    job = restore_job(tmp_path / "in", tmp_path / "out", tiny_prior)
    for seed in (7, 8, 9, 10):  # the order of the manifest's parts is another
        put(tmp_path / "in", key, image_bytes(seed))
        (found,) = shown(job)
        small, after = pixels(tmp_path / "in" / key), values(found.after)
        assert np.abs(after.reshape(16, 2, 16, 2, 3).mean((1, 3)) - small).mean() < 6
