"""Blurs through a real worker: told or estimated for each image, with its noise."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from deqir.estimation.spectrum import natural_levels
from deqir.operators import Deblurring, FramedDeblurring
from pipeline.config import RuntimeConfig
from pipeline.degradation import COMPRESSION, ROUNDING, Degradation
from pipeline.errors import ConfigurationError
from pipeline.images.codec import decode
from pipeline.inputs.job_operator import Observed, open_undoing
from pipeline.inputs.unsharpness import UNTOLD_NOISE
from pipeline.tools.degrade import degrade
from tests.pipeline.archive import put, write_archive
from tests.pipeline.shard_runs import run

WIDTH, NOISE = 2.0, 2.0
SHARP = natural_levels(192, 224).double().numpy()


def photograph(width: float = WIDTH, noise: float = NOISE, *, quality: int | None = None) -> bytes:
    """A picture with the spectrum of photographs, blurred, with noise, as PNG or JPEG."""
    drawn = np.random.default_rng(0).normal(size=(*SHARP.shape, 3))
    blurred = gaussian_filter(SHARP, width)[..., None] + noise * drawn
    file = io.BytesIO()
    image = Image.fromarray(blurred.clip(0, 255).round().astype(np.uint8))
    image.save(file, "PNG") if quality is None else image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def flat() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (96, 96), (90, 120, 140)).save(file, "PNG")
    return file.getvalue()


def test_a_width_is_estimated_for_each_image_and_an_uncertain_one_is_left_alone(opened, source, destination) -> None:
    put(source, "blurred.png", photograph())
    put(source, "sharp.png", photograph(0.1, 0.5))
    put(source, "flat.png", flat())
    _, worker, shards = opened(degradation={"task": "deblur", "width": "auto"})
    rows = {row.source_key: row for row in run(worker, shards[0])}
    blurred = rows.pop("blurred.png")
    assert (blurred.status, blurred.error) == ("restored", None)
    # below the truth rather than above it, and the noise above it
    assert 0.5 * WIDTH < float(blurred.operator_parameters["width"]) < 1.1 * WIDTH
    assert NOISE < 255 * blurred.noise < 2 * NOISE
    for row in rows.values():
        assert row.status == "unchanged"
        assert "its blur cannot be told" in row.decisions[0]
        assert "--width" in row.decisions[0]
    assert (destination / "sharp.png").read_bytes() == (source / "sharp.png").read_bytes()


def seen(data: bytes, settings: dict[str, Any], *, noise: float | None = None, method: int = 2) -> Observed:
    undoing = open_undoing(Degradation(**settings), None, noise=noise, limits=RuntimeConfig(), method=method)
    return undoing.observed(decode(data, max_pixels=10**6).pixels, None)


def test_the_noise_of_a_blurred_image_is_the_most_that_is_likely_with_the_error_of_jpeg() -> None:
    told = {"task": "deblur", "width": WIDTH}
    exact, grainy, compressed = (
        255 * seen(photograph(noise=noise, quality=quality), told).noise
        for noise, quality in ((0.0, None), (NOISE, None), (NOISE, 75))
    )
    assert exact < 1
    assert NOISE < grainy < 2 * NOISE
    assert 5 < compressed < 10
    assert seen(photograph(), told, noise=0.25).noise == 0.25


def test_a_job_of_the_first_method_takes_a_blurred_image_for_exact() -> None:
    for settings, noise in (({"width": WIDTH}, ROUNDING), ({"blur": "motion", "width": 5}, COMPRESSION)):
        assert seen(photograph(), {"task": "deblur", **settings}, method=1).noise == noise


def test_a_motion_is_undone_within_its_frame_where_the_image_has_little_noise() -> None:
    motion = {"task": "deblur", "blur": "motion", "width": 5}
    assert isinstance(seen(photograph(noise=0.0), motion).operator, FramedDeblurring)
    noisy = seen(photograph(noise=6.0), motion)
    assert isinstance(noisy.operator, Deblurring)
    assert noisy.noise > 6 / 255


def test_an_image_that_tells_of_no_noise_is_taken_for_a_noisy_one() -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((24, 16), np.uint8)).save(file, "PNG")
    assert seen(file.getvalue(), {"task": "deblur", "width": 2}).noise == UNTOLD_NOISE


def test_nothing_is_blurred_by_an_estimated_width(source, tmp_path) -> None:
    write_archive(source, 1)
    with pytest.raises(ConfigurationError, match="say by how many pixels"):
        list(degrade(str(source), str(tmp_path / "out"), Degradation(task="deblur", width="auto")))
