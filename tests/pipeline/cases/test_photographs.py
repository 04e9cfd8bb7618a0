"""Photographs as people have them: compressed, out of focus, grainy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from deqir.estimation import diagnose
from pipeline.degradation import Degradation

from .archives import coffee, face, grainy, jpeg, levels, out_of_focus
from .runs import End, decoded, psnr, restore

QUALITIES = (10, 30, 60, 90)
LEAST = {10: 0.8, 30: 0.7, 60: 0.5, 90: -0.1}
"""Least gain in dB at each quality."""


def compressed() -> dict[str, bytes]:
    return {f"quality{quality}.jpg": jpeg(coffee(), quality) for quality in QUALITIES}


def gain(end: End, x: np.ndarray) -> float:
    given, written = (pixels if pixels.ndim == x.ndim else pixels.mean(2) for pixels in (end.given, end.written))
    return psnr(written, x) - psnr(given, x)


@pytest.mark.parametrize("task", ["auto", "jpeg"])
def test_compressed_photographs_gain(tmp_path, task) -> None:
    ends = restore(tmp_path, compressed(), task=task)
    for quality in QUALITIES:
        end = ends[f"quality{quality}.jpg"]
        assert end.delivered, quality
        assert gain(end, levels(coffee())) > LEAST[quality], quality


def test_removing_noise_from_a_compressed_photograph_removes_the_noise_of_the_compression(tmp_path) -> None:
    ends = restore(tmp_path, {key: compressed()[key] for key in ("quality10.jpg", "quality30.jpg")}, task="denoise")
    for key, end in ends.items():
        assert not np.array_equal(end.written, end.given), key
        assert gain(end, levels(coffee())) > 0.3, key


def test_a_blur_is_never_guessed() -> None:
    with pytest.raises(ValidationError, match="width"):
        Degradation.model_validate({"task": "deblur"})


@pytest.mark.parametrize("settings", [{"task": "deblur", "width": "auto"}, {"task": "auto"}])
def test_a_photograph_out_of_focus_is_better_afterwards(tmp_path, settings) -> None:
    end = restore(tmp_path, {"soft.jpg": out_of_focus()}, **settings)["soft.jpg"]
    assert end.delivered
    assert gain(end, levels(face())) > 0.5


def test_a_blur_told_far_too_wide_is_set_aside(tmp_path) -> None:
    end = restore(tmp_path, {"soft.jpg": out_of_focus()}, task="deblur", width=3.2)["soft.jpg"]
    assert end.row.status == "set_aside"
    assert end.output is None


def test_a_grainy_photograph_is_better_afterwards(tmp_path) -> None:
    data, clean = grainy()
    end = restore(tmp_path, {"grainy.jpg": data}, task="auto")["grainy.jpg"]
    assert end.delivered
    assert gain(end, clean) > 1


def diagnosed(data: bytes):
    """The diagnosis of a file from its pixels alone."""
    pixels = torch.from_numpy(levels(decoded(data).convert("RGB"))).permute(2, 0, 1).float() / 127.5 - 1
    return diagnose(pixels)


def test_the_noise_of_a_photograph_out_of_focus_is_told_without_the_error_of_the_compression() -> None:
    noise = diagnosed(out_of_focus(noise=3)).noise
    assert noise is not None
    assert noise.sigma.value == pytest.approx(3 / 255, rel=0.4, abs=2 / 255)
    assert noise.sigma.low <= 3 / 255 <= noise.sigma.high


def test_the_blur_of_a_photograph_out_of_focus_is_told() -> None:
    blur = diagnosed(out_of_focus()).blur
    assert blur is not None
    assert blur.value == pytest.approx(1.8, abs=0.54)
    assert blur.low <= 1.8 <= blur.high


def test_the_grain_of_a_photograph_is_told_by_its_level() -> None:
    data, clean = grainy()
    true = (levels(decoded(data)) - clean).std() / 255
    noise = diagnosed(data).noise
    assert noise is not None
    assert noise.sigma.value == pytest.approx(true, rel=0.4, abs=2 / 255)


def test_photographs_are_known_as_photographs() -> None:
    assert {str(diagnosed(data).kind) for data in (*compressed().values(), out_of_focus())} == {"photograph"}
