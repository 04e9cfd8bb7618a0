"""What is written for grey and colour images, and what is measured of it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from flows.display.summary import facts
from pipeline.reporting.summary import summary_of
from pipeline.reporting.sums import sums_of
from pipeline.worker.write import in_range
from tests.pipeline.archive import image_bytes, pixels, put
from tests.pipeline.shard_runs import run


def test_psnr_is_that_of_the_written_file_against_the_original(source, destination, tmp_path, opened, caplog) -> None:
    original = image_bytes(5, size=(32, 32), kind="JPEG")
    put(tmp_path / "reference", "a.jpg", original)
    truth = np.asarray(Image.open(io.BytesIO(original))).astype(float)
    small = truth.reshape(16, 2, 16, 2, 3).mean((1, 3)).round().astype(np.uint8)
    Image.fromarray(small).save(source / "a.png")
    put(source, "b.png", image_bytes(1))  # has no original
    put(source, "c.png", image_bytes(2))
    put(tmp_path / "reference", "c.png", image_bytes(2, size=(34, 32)))
    _, worker, shards = opened(reference=tmp_path / "reference", result={"output_format": "jpeg", "quality": 70})
    rows = {row.source_key: row for row in run(worker, shards[0])}
    written = pixels(destination / "a.jpg")
    expected = 10 * np.log10(255**2 / np.mean((written - truth) ** 2))
    assert rows["a.png"].psnr == pytest.approx(expected, abs=1e-3)
    assert rows["a.png"].psnr_start is not None
    assert rows["a.png"].psnr_start > 15
    assert rows["a.png"].psnr_given is None  # it is smaller
    assert rows["a.png"].ssim is not None
    assert 0 < rows["a.png"].ssim <= 1
    assert all(rows[key].status == "restored" and rows[key].psnr is None for key in ("b.png", "c.png"))
    assert "it has 34 x 32 pixels, the restored image 32 x 32;" in caplog.text


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_psnr_of_what_was_given_is_that_of_the_source_file_where_sizes_agree(source, tmp_path, opened, mode) -> None:
    """A grey one counts as three equal channels; mean and words of a summary are about the same figures."""
    rng = np.random.default_rng(0)
    for n in range(2):
        put(tmp_path / "reference", f"{n}.png", image_bytes(n, size=(32, 32)))
        truth = pixels(tmp_path / f"reference/{n}.png")
        noisy = np.clip(truth + rng.normal(0, 12, truth.shape), 0, 255).round().astype(np.uint8)
        Image.fromarray(noisy).convert(mode).save(source / f"{n}.png")
    task = {"task": "denoise"} if mode == "RGB" else {"task": "colorize"}
    _, worker, shards = opened(degradation=task, result={"noise": 0.05}, reference=tmp_path / "reference")
    rows = run(worker, shards[0])
    expected = []
    for n, row in enumerate(rows):
        given = np.asarray(Image.open(source / f"{n}.png").convert("RGB")).astype(float)
        error = np.mean((given - pixels(tmp_path / f"reference/{n}.png")) ** 2)
        expected.append(10 * np.log10(255**2 / error))
        assert row.psnr_given == pytest.approx(expected[-1], abs=1e-3)
    summary = summary_of("0123456789abcdef", "/out", [sums_of(rows)])
    assert summary.psnr_given == pytest.approx(np.mean(expected), abs=1e-3)
    assert dict(facts(summary))["PSNR as given"] == f"{np.mean(expected):.2f} dB"
    assert "PSNR without the network" not in dict(facts(summary))
    older = [rows[0], replace(rows[1], psnr_given=None)]  # by a version that did not measure it
    summary = summary_of("0123456789abcdef", "/out", [sums_of([row]) for row in older])
    assert summary.psnr_given is None
    assert "PSNR without the network" in dict(facts(summary))


def test_a_grey_image_stays_grey_and_colorization_makes_it_colour(source, destination, opened) -> None:
    put(source, "grey.png", image_bytes(2, mode="L"))
    _, worker, shards = opened()
    (row,) = run(worker, shards[0])
    assert row.image_mode == "L"
    assert pixels(destination / "grey.png").shape == (32, 32)


def test_colorization_starts_from_grey_whatever_its_file_says(source, destination, opened) -> None:
    put(source, "grey.png", image_bytes(2, mode="L"))
    grey = Image.open(io.BytesIO(image_bytes(2, mode="L"))).convert("RGB")
    grey.save(source / "grey_in_rgb.png")
    _, worker, shards = opened(degradation={"task": "colorize"})
    rows = run(worker, shards[0])
    assert [row.status for row in rows] == ["restored"] * 2
    for name in ("grey", "grey_in_rgb"):
        found = pixels(destination / f"{name}.png")
        assert found.shape == (16, 16, 3)
        luma = found @ np.array([0.299, 0.587, 0.114])
        # the luma of the result is the input's, up to the rounding of three channels to 8 bits
        assert np.abs(luma - np.asarray(grey)[..., 0]).max() <= 1.5


def test_colours_out_of_range_give_way_and_the_grey_stays() -> None:
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    image = torch.randn(3, 40, 40, generator=torch.Generator().manual_seed(0))
    grey = (weights * image).sum(0, keepdim=True)
    image = (image - grey) + grey.clamp(-1, 1)
    grey = grey.clamp(-1, 1)
    found = in_range(image)
    # float32 rounding of sums of three numbers of about 1
    assert found.abs().max() <= 1 + 1e-6
    assert ((weights * found).sum(0) - grey[0]).abs().max() < 1e-6
    inside = image.abs().amax(0) <= 1
    assert 0.1 < inside.float().mean() < 0.9
    assert torch.equal((found - image).abs().amax(0) > 1e-6, ~inside)
