"""Every task from a good image to a restored one: degraded as `deqir degrade` does it, restored by a real worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from scipy import ndimage

from deqir.operators import FramedDeblurring, kernels
from pipeline.degradation import COMPRESSION, ROUNDING, Degradation
from pipeline.errors import ConfigurationError
from pipeline.job.job import open_job, plan_job
from pipeline.tools.degrade import degrade
from tests.pipeline.archive import image_bytes, pixels, put, restore_job, write_archive
from tests.pipeline.shard_runs import assert_same_image, run, worker_of

SIZE = (24, 16)


def degradation_of(settings: dict[str, Any]) -> Degradation:
    checked: Degradation = TypeAdapter(Degradation).validate_python(settings)
    return checked


def scratched(path: Path, *, at: int = 5) -> Path:
    """Write a mask of the images' size with one scratch."""
    plane = np.zeros(SIZE[::-1], np.uint8)
    plane[:, at : at + 2] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(plane).save(path, lossless=True)
    return path


def spot(path: Path) -> Path:
    """Write the image of a blur that no formula describes."""
    plane = np.zeros((4, 5), np.uint8)
    plane[1:3, 1:4] = [[10, 200, 90], [0, 120, 30]]
    Image.fromarray(plane).save(path)
    return path


TASKS: dict[str, tuple[dict[str, Any], float]] = {
    "bicubic": ({"task": "sr", "scale": 2, "kernel": "bicubic"}, 0.0),
    "nearest": ({"task": "sr", "scale": 2, "kernel": "nearest"}, 0.0),
    "sharpened": ({"task": "sr", "scale": 2, "kernel": "sharpened"}, 0.0),
    "gaussian": ({"task": "deblur", "width": 1.2}, ROUNDING),
    "uniform": ({"task": "deblur", "blur": "uniform", "width": 3}, ROUNDING),
    "motion": ({"task": "deblur", "blur": "motion", "width": 5, "angle": 30}, COMPRESSION),
    "file": ({"task": "deblur", "blur": "file", "kernel_file": "{tmp}/spot.png"}, COMPRESSION),
    "noisy motion": ({"task": "deblur", "blur": "motion", "width": 5, "angle": 30}, 0.02),
    "inpaint": ({"task": "inpaint", "mask": "{tmp}/mask.png"}, 0.0),
    "denoise": ({"task": "denoise"}, 0.05),
    "scratched": ({"task": "old-photo", "mask": "{tmp}/mask.png"}, 0.0),
    "grey and scratched": ({"task": "old-photo", "colour": "yes", "mask": "{tmp}/mask.png"}, 0.0),
    "grey and small": ({"task": "old-photo", "colour": "yes", "scale": 2}, 0.02),
}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_degrades_and_restores(opened, source, tmp_path, destination, name) -> None:
    settings, noise = TASKS[name]
    settings = {k: v.format(tmp=tmp_path) if isinstance(v, str) else v for k, v in settings.items()}
    scratched(tmp_path / "mask.png")
    spot(tmp_path / "spot.png")
    good = tmp_path / "good"
    keys = write_archive(good, 2, size=SIZE)
    added = 0.0 if noise in (ROUNDING, COMPRESSION) else noise
    assert [image.error for image in degrade(str(good), str(source), degradation_of(settings), noise=added)] == [
        None
    ] * 2
    told = {} if noise in (0.0, ROUNDING, COMPRESSION) else {"noise": noise}
    _, worker, shards = opened(degradation=settings, result=told, reference=good)
    rows = run(worker, shards[0])
    assert [row.status for row in rows] == ["restored"] * 2, rows
    for row, key in zip(rows, keys, strict=True):
        assert (row.source_key, row.width, row.height) == (key, *SIZE)
        assert row.noise == pytest.approx(noise)
        assert row.psnr is not None
        restored = np.asarray(Image.open(destination / key))
        assert restored.shape == (*SIZE[::-1], 3)


def test_area_is_another_name_of_average() -> None:
    area, average = (degradation_of({"task": "sr", "scale": 4, "kernel": name}) for name in ("area", "average"))
    assert area == average


def test_each_image_may_have_a_mask_of_its_own(opened, source, tmp_path, destination) -> None:
    """What a mask keeps is as it was, its damage is filled; an image without mask, or with a wrong one, fails alone."""
    keys = write_archive(source, 4, size=SIZE)
    masks = tmp_path / "masks"
    scratched(masks / "album/00.webp", at=3)
    scratched(masks / "album/01.png", at=12)
    put(masks, "album/02.png", b"no image")
    _, worker, shards = opened(degradation={"task": "inpaint", "masks": str(masks)})
    rows = run(worker, shards[0])
    assert [row.status for row in rows] == ["restored", "restored", "failed", "failed"]
    assert [row.error_type for row in rows[2:]] == ["MaskError", "MaskError"]
    assert "02.png cannot be used" in str(rows[2].error)
    assert f"has no mask for {keys[3]}" in str(rows[3].error)
    for key, at in zip(keys[:2], (3, 12), strict=True):
        before, after = (np.asarray(Image.open(folder / key)).astype(int) for folder in (source, destination))
        damaged = np.zeros(SIZE[0], bool)
        damaged[at : at + 2] = True
        assert np.array_equal(before[:, ~damaged], after[:, ~damaged])
        assert not np.array_equal(before[:, damaged], after[:, damaged])


def test_noise_is_estimated_for_each_image_where_it_is_to_be(opened, source, tmp_path) -> None:
    """Two levels of noise in one archive; an image too small to tell fails alone and says what to do."""
    good = tmp_path / "good"
    write_archive(good, 1, size=(96, 80))
    for folder, noise in (("weak", 0.03), ("strong", 0.1)):
        assert all(
            image.error is None
            for image in degrade(str(good), str(source / folder), degradation_of({"task": "denoise"}), noise=noise)
        )
    put(source, "tiny.png", (source / "weak/album/00.png").read_bytes())
    Image.open(source / "tiny.png").crop((0, 0, 7, 7)).save(source / "tiny.png")
    _, worker, shards = opened(degradation={"task": "denoise"})
    rows = {row.source_key: row for row in run(worker, shards[0])}
    assert rows["weak/album/00.png"].noise == pytest.approx(0.03, rel=0.2)
    assert rows["strong/album/00.png"].noise == pytest.approx(0.1, rel=0.2)
    assert rows["tiny.png"].status == "failed"
    assert "instead of auto" in str(rows["tiny.png"].error)


def test_a_blurred_test_image_goes_on_beyond_its_frame_as_in_a_mirror(tmp_path) -> None:
    """Against scipy's convolution, for a blur that no symmetry makes a mirror's."""
    good = tmp_path / "good"
    (key,) = write_archive(good, 1, size=SIZE)
    spot(tmp_path / "spot.png")
    blur = degradation_of({"task": "deblur", "blur": "file", "kernel_file": str(tmp_path / "spot.png")})
    assert [image.error for image in degrade(str(good), str(tmp_path / "blurred"), blur)] == [None]
    kernel = np.zeros((5, 5))
    kernel[:4] = np.asarray(Image.open(tmp_path / "spot.png"))
    wide = np.pad(np.asarray(Image.open(good / key)).astype(float), ((4, 4), (4, 4), (0, 0)), mode="symmetric")
    exact = ndimage.convolve(wide, kernel[..., None] / kernel.sum())[4:-4, 4:-4]
    found = np.asarray(Image.open(tmp_path / "blurred" / key))
    assert np.abs(found - exact).max() < 0.51


def test_what_lies_beyond_a_frame_is_left_open_where_there_is_little_noise(
    opened, source, destination, tmp_path, tiny_prior
) -> None:
    """Photographs cut out of a wider blurred scene: all that is written has their size, and what a start gains."""
    blur = FramedDeblurring(kernel=kernels.motion(7, 30))
    rows, columns = np.mgrid[0:40, 0:48] / 9
    scene = np.stack([np.sin(columns * 1.7 + rows + c) + np.cos(rows * 1.3 - columns / 2 + c) for c in range(3)])
    wide = torch.tensor(scene)[None] / 2
    height, width = blur.framed(wide).shape[-2:]
    for folder, image in ((source, blur(wide)), (tmp_path / "good", blur.framed(wide))):
        values = ((image[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        folder.mkdir(exist_ok=True)
        Image.fromarray(values).save(folder / "a.png")
    settings: dict[str, Any] = {
        "degradation": {"task": "deblur", "blur": "motion", "width": 7, "angle": 30},
        "reference": tmp_path / "good",
    }
    _, worker, shards = opened(**settings, result={"samples": 2})
    (framed,) = run(worker, shards[0])
    assert (framed.status, framed.noise, (framed.height, framed.width)) == ("restored", COMPRESSION, (height, width))
    written = [destination / "a.png", *(destination / worker.layout.samples / "a.png").iterdir()]
    assert [pixels(path).shape[:2] for path in written] == [(height, width)] * 4
    told = restore_job(source, tmp_path / "told", tiny_prior, **settings, result={"noise": 0.011})
    job = open_job(told)
    (tiled,) = run(worker_of(job), plan_job(job).shards[0])
    assert (tiled.status, tiled.noise) == ("restored", 0.011)
    assert framed.psnr_start > tiled.psnr_start + 2  # even though the tiled one was told more noise and sharpens less


def test_noise_that_was_added_depends_on_the_file_alone(tmp_path) -> None:
    good = tmp_path / "good"
    write_archive(good, 2, size=SIZE)
    for run_ in ("a", "b"):
        list(degrade(str(good), str(tmp_path / run_), degradation_of({"task": "denoise"}), noise=0.1))
    names = ("album/00.png", "album/01.png")
    a, b, x = ([np.asarray(Image.open(tmp_path / where / name)) for name in names] for where in ("a", "b", "good"))
    assert all(np.array_equal(left, right) for left, right in zip(a, b, strict=True))
    noise = [(y.astype(float) - clean) for y, clean in zip(a, x, strict=True)]
    assert np.std(noise[0]) == pytest.approx(25.5, rel=0.1)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.2


def test_further_samples_lie_beside_the_first_with_their_mean_and_spread(
    opened, source, destination, tmp_path, tiny_prior
) -> None:
    """The first is what a job without samples writes; mean and spread are those of all, by numpy."""
    (key,) = write_archive(source, 1, size=SIZE)
    options = {"steps": 3, "eta": 1.0, "start_noise": 0.29, "end_noise": 0.25}
    _, worker, shards = opened(result=options | {"samples": 4})
    (row,) = run(worker, shards[0])
    assert (row.samples, row.nfe) == (4, 12)
    folder = destination / worker.layout.samples / key
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [f"sample-{n}.png" for n in (2, 3, 4)] + ["mean.png", "spread.png"]
    )
    first = np.asarray(Image.open(destination / key)).astype(float)
    images = np.stack([first, *(np.asarray(Image.open(folder / f"sample-{n}.png")) for n in (2, 3, 4))])
    mean, spread = (np.asarray(Image.open(folder / name)).astype(float) for name in ("mean.png", "spread.png"))
    # rounding to 8 bits on either side; a value beyond white or black counts in the mean as it was
    assert np.abs(mean - images.mean(0)).mean() < 1
    by_hand = np.sqrt(images.var(0, ddof=1).mean(-1)) / 255
    assert np.abs(spread[..., 0] / 255 * 16 - 255 * by_hand.clip(max=16 / 255)).mean() < 0.5  # white is 16 of 255
    assert spread.mean() > 32  # and not nearly black
    assert row.spread == pytest.approx(by_hand.mean(), abs=1 / 255)
    assert float(by_hand.mean()) > 1 / 255
    other = tmp_path / "alone"
    job = open_job(restore_job(source, other, tiny_prior, result=options))
    (alone,) = run(worker_of(job), plan_job(job).shards[0])
    assert (alone.samples, alone.spread) == (None, None)
    assert_same_image(np.asarray(Image.open(other / key)).astype(float), first)


def long_key(size: int) -> str:
    """A key of so many bytes that any folder can hold."""
    return "/".join([*["d" * 200] * (size // 201), "a" * (size % 201 - 4) + ".png"])


def test_samples_whose_keys_would_be_too_long_fail_their_image_before_it_is_restored(
    opened, source, destination
) -> None:
    """Of .deqir/<16>/samples/<key>/sample-2.png at most 1024 bytes; the longest that fits is restored with them."""
    room = 1024 - len(".deqir/0123456789abcdef/samples//sample-2.png")
    for size in (room, room + 1):
        put(source, long_key(size), image_bytes(1, size=SIZE))
        assert len(long_key(size)) == size
    _, worker, shards = opened(result={"samples": 2})
    fits, too_long = sorted(run(worker, shards[0]), key=lambda row: len(row.source_key))
    assert fits.status == "restored"
    assert (too_long.status, too_long.error_type) == ("failed", "UnsafeKeyError")
    assert "the key of its samples would have 1025 bytes of UTF-8, S3 allows 1024; shorten its name" in too_long.error
    assert (too_long.source_sha256, too_long.nfe) == (None, None)
    assert [path for path in destination.rglob("a*.png") if "samples" not in path.parts] == [
        destination / fits.source_key
    ]


@pytest.mark.s3
def test_outputs_that_are_too_long_with_their_buckets_prefix_fail_before_they_are_restored(
    source, s3_url, tiny_prior
) -> None:
    keys = [long_key(size) for size in (900, 1020)]
    for key in keys:
        put(source, key, image_bytes(1, size=SIZE))
    job = open_job(restore_job(source, f"{s3_url}/{'p' * 60}", tiny_prior))  # type: ignore[arg-type]
    rows = {row.source_key: row for row in run(worker_of(job), plan_job(job).shards[0])}
    assert [rows[key].status for key in keys] == ["restored", "failed"]
    assert (rows[keys[1]].error_type, rows[keys[1]].source_sha256) == ("UnsafeKeyError", None)
    assert "choose a destination with a shorter prefix" in str(rows[keys[1]].error)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"task": "inpaint"}, "needs `mask`, an image"),
        ({"task": "inpaint", "mask": "a", "masks": "b"}, "not both"),
        ({"task": "deblur", "blur": "file"}, "need each other"),
        ({"task": "deblur", "width": 2, "kernel_file": "k.png"}, "need each other"),
        ({"task": "old-photo", "grey": False}, "needs no restoration"),
        ({"task": "old-photo", "grey": True, "colour": "yes"}, "leave `grey` out"),
        ({"task": "deblur"}, "needs `width`: say how wide the blur is in pixels, such as 1.6, or auto"),
        ({"task": "deblur", "blur": "motion", "width": "auto"}, "`width` auto is for `blur` gaussian"),
        ({"task": "old-photo", "mask": "a", "masks": "b"}, "not both"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, says) -> None:
    with pytest.raises(ValidationError, match=says):
        degradation_of(settings)


@pytest.mark.parametrize("data", [b"no image", b""])
def test_a_kernel_that_is_no_image_is_the_jobs_fault(opened, source, tmp_path, data) -> None:
    write_archive(source, 1)
    put(tmp_path, "kernel.png", data)
    settings = {"task": "deblur", "blur": "file", "kernel_file": str(tmp_path / "kernel.png")}
    with pytest.raises(ConfigurationError, match=r"the kernel .*kernel\.png cannot be used"):
        opened(degradation=settings)


def test_a_black_kernel_is_refused(opened, source, tmp_path) -> None:
    write_archive(source, 1)
    Image.fromarray(torch.zeros(5, 5, dtype=torch.uint8).numpy()).save(tmp_path / "kernel.png")
    settings = {"task": "deblur", "blur": "file", "kernel_file": str(tmp_path / "kernel.png")}
    with pytest.raises(ConfigurationError, match="the kernel"):
        opened(degradation=settings)
