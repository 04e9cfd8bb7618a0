"""Text, halftone and pixel art are left alone; where they are enlarged, the written pixels agree with the given."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from .archives import graphics, levels, png, text_page
from .runs import blocks, psnr, restore

LEVEL = 1.5
"""Largest difference in levels between a pixel and the mean of its block in the written file."""


@pytest.fixture(scope="module", params=["sr", "auto"])
def enlarged(request, tmp_path_factory):
    return restore(tmp_path_factory.mktemp("graphics"), graphics(), task=request.param, scale=4)


def test_each_written_pixel_agrees_with_the_given_one(enlarged) -> None:
    for key, end in enlarged.items():
        if end.row.status == "restored" and end.row.task == "sr":
            assert np.abs(blocks(end.written, 4) - end.given).max() < LEVEL, key


def test_the_manifest_tells_the_consistency_of_the_written_file(enlarged) -> None:
    for key, end in enlarged.items():
        if end.row.status == "restored" and end.row.task == "sr":
            y = end.given / 127.5 - 1
            written = blocks(end.written, 4) / 127.5 - 1
            distance = np.linalg.norm(written - y) / np.linalg.norm(y)
            assert end.row.data_consistency == pytest.approx(distance, rel=0.1, abs=1e-4), key


def test_none_fails(enlarged) -> None:
    assert {end.row.error for end in enlarged.values() if end.row.status == "failed"} == set()


def test_all_are_left_as_they_are_where_nothing_is_asked_for(tmp_path) -> None:
    ends = restore(tmp_path, graphics(), task="auto")
    assert {key: end.row.status for key, end in ends.items()} == dict.fromkeys(ends, "unchanged")
    assert all(end.output == end.source for end in ends.values())


@pytest.mark.parametrize("task", ["sr", "auto"])
def test_enlarged_text_is_no_worse_than_by_interpolation(tmp_path, task) -> None:
    page = text_page((384, 256), points=36)
    small = page.resize((192, 128), Image.Resampling.BOX)
    end = restore(tmp_path, {"text.png": png(small)}, task=task, scale=2)["text.png"]
    if end.row.status == "set_aside":
        return
    bicubic = psnr(levels(small.resize(page.size, Image.Resampling.BICUBIC)), levels(page))
    written = levels(Image.open(io.BytesIO(end.output)).convert("L"))
    assert psnr(written, levels(page)) > bicubic - 0.05
