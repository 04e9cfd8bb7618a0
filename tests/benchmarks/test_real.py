"""The benchmark of realistic images: its cases are as many as promised and always the same, and it runs."""

from __future__ import annotations

import io
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from benchmarks.real.archive.cases import all_cases
from benchmarks.real.archive.steps import PNG, compressed, image_of, jpeg
from benchmarks.real.judging import Score
from benchmarks.real.results import Record
from benchmarks.real.table import loses, render, worse_in_both
from benchmarks.real.ways import given
from tests.processes import python
from tests.weights import needs_lpips

CASES = all_cases()
DRAWN = [case for case in CASES if not case.photograph]


def test_there_are_enough_cases_of_enough_originals() -> None:
    photographs = [case for case in CASES if case.photograph]
    assert len(photographs) >= 40
    assert len({case.picture for case in photographs}) >= 12
    assert len({case.picture for case in DRAWN}) >= 8
    assert len({case.key for case in CASES}) == len(CASES)


def test_each_group_has_one_quick_case() -> None:
    quick = Counter(case.group for case in CASES if case.quick)
    assert quick == dict.fromkeys({case.group for case in CASES}, 1)


@pytest.mark.parametrize("case", DRAWN, ids=lambda case: case.name)
def test_a_file_is_the_same_each_time_and_of_the_size_asked_for(case) -> None:
    again = next(other for other in all_cases() if other.name == case.name)
    assert again.file == case.file
    width, height = Image.open(io.BytesIO(case.file)).size
    assert (height * case.scale, width * case.scale) == case.original.shape[:2]
    assert given(case).pixels.shape[:2] == case.original.shape[:2]


def test_a_png_without_steps_is_its_original() -> None:
    case = next(case for case in DRAWN if case.kept is PNG and not case.chain)
    assert np.array_equal(given(case).pixels, case.original)


def test_a_cropped_jpeg_keeps_its_size_and_has_its_blocks_off_the_corner() -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (32, 40))
    shifted = compressed(20, shift=3).apply(pixels, np.random.default_rng(0))
    wide = np.pad(pixels, ((3, 0), (3, 0)), mode="edge")
    encoded = np.asarray(Image.open(io.BytesIO(jpeg(20).encode(wide))), dtype=float)
    assert shifted.shape == pixels.shape
    assert np.array_equal(shifted, encoded[3:, 3:])
    assert not np.array_equal(shifted, np.asarray(image_of(pixels), dtype=float))


def record(way: str, psnr: float, vgg: float, *, status: str = "restored", scale: int = 1) -> Record:
    return Record(
        case="one",
        group="JPEG",
        chain="JPEG 30",
        photograph=True,
        scale=scale,
        way=way,
        told="--task jpeg",
        status=status,
        score=Score(psnr=psnr, ssim=0.5, lpips=vgg, vgg=vgg),
        aside=None,
        nfe=5,
        seconds=1.0,
        note="",
    )


def test_a_delivered_image_that_lost_is_harm_and_one_that_was_kept_back_is_not() -> None:
    before, after = record("given", 30.0, 0.2), record("auto", 29.7, 0.3)
    assert loses(before, after)
    assert worse_in_both(before, after)
    kept = record("auto", 29.7, 0.3, status="set_aside")
    assert not loses(before, kept)
    assert not worse_in_both(before, kept)
    assert not loses(before, record("auto", 29.7, 0.1, scale=4))


def test_the_tables_have_gains_counts_and_weaknesses() -> None:
    records = [record("given", 30.0, 0.2), record("auto", 29.5, 0.1), record("real-esrgan", 29.6, 0.05)]
    text = render(records, {"told, `--task jpeg`": "there is no such task"})
    assert "| JPEG |  | -0.50 / -50 % |  | -0.40 / -75 % |" in text
    assert "worse than given by more than 0.2 dB: 1 of 1: one" in text
    assert "Real-ESRGAN's VGG LPIPS is better by a tenth: 1 of 1: one" in text
    assert "- told, `--task jpeg`: there is no such task" in text


@pytest.mark.smoke
@needs_lpips
def test_a_smoke_run_restores_through_jobs_and_writes_tables_and_a_sheet(tiny_prior, tmp_path) -> None:
    words = ["--prior", tiny_prior, "--out", tmp_path, "--case", "graphics, small", "--way", "told", "--threads", "1"]
    done = python("-m", "benchmarks.real", *words)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "real.json").read_text())
    assert {row["way"] for row in facts["records"]} == {"given", "told"}
    assert facts["environment"]["processor"]
    assert "### Every case" in (tmp_path / "real.md").read_text()
    with Image.open(tmp_path / "real.jpg") as sheet:
        assert sheet.width > 600
