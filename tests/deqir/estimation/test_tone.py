"""Tests of the tone of images: known tints put on a known grey, saved as JPEG by an encoder."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deqir.estimation import tone_of
from deqir.estimation.spectrum import natural_levels

GREY = natural_levels(192, 224).double().numpy().clip(0, 255)
LUMA = np.array([0.299, 0.587, 0.114])

TINTS = {
    "sepia": lambda grey: np.stack([grey * 1.07, grey * 0.93, grey * 0.72], -1),
    "cyanotype": lambda grey: np.stack([grey**1.3 / 255**0.3, grey, 40 + grey * 215 / 255], -1),
}


def tensor(pixels: NDArray[np.float64]) -> Tensor:
    values = pixels.clip(0, 255).round().astype(np.uint8)
    return torch.from_numpy(values.reshape(*values.shape[:2], -1)).permute(2, 0, 1).float() / 127.5 - 1


def as_jpeg(pixels: NDArray[np.float64], quality: int | None) -> Tensor:
    """Return pixels after JPEG with colours at half resolution; without a quality, as they are."""
    if quality is None:
        return tensor(pixels)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8)).save(file, "JPEG", quality=quality, subsampling=2)
    return tensor(np.asarray(Image.open(file), dtype=np.float64))


def noise(level: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return level * np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("quality", [None, 95, 75, 50, 30])
@pytest.mark.parametrize("level", [0, 8])
@pytest.mark.parametrize("name", TINTS)
def test_a_tint_is_told_and_given_back_to_the_grey(name: str, level: float, quality: int | None) -> None:
    tinted = TINTS[name](GREY)
    tone = tone_of(as_jpeg(tinted + noise(level, tinted.shape), quality))
    assert tone.kind == "tint"
    grey = torch.from_numpy((tinted.clip(0, 255) @ LUMA) / 127.5 - 1)[None]
    found = (tone.from_grey(grey) + 1) * 127.5
    # the means of the blocks of a JPEG of quality 30 are rounded to steps of 3.5 levels
    assert (found.permute(1, 2, 0) - torch.from_numpy(tinted.clip(0, 255))).abs().mean() < 1.6
    inside = (found > 0).all(0) & (found < 255).all(0)
    assert (tone.to_grey(found / 127.5 - 1) - grey)[0][inside].abs().max() < 1e-5


@pytest.mark.parametrize("quality", [None, 90, 50, 10])
@pytest.mark.parametrize("level", [0, 8])
def test_a_grey_photograph_in_a_colour_file_is_grey(level: float, quality: int | None) -> None:
    image = np.repeat(GREY[..., None], 3, -1)
    assert tone_of(as_jpeg(image + noise(level, image.shape), quality)).kind == "grey"


def test_a_single_channel_is_grey() -> None:
    tone = tone_of(tensor(GREY))
    assert (tone.kind, tone.departure) == ("grey", 0.0)
    assert torch.equal(tone.from_grey(tensor(GREY)), tensor(GREY).expand(3, -1, -1))


@pytest.mark.parametrize("quality", [None, 50, 10])
def test_colours_that_do_not_follow_the_grey_are_colour(quality: int | None) -> None:
    hue = np.sin(np.arange(224) / 30)[None, :, None] * np.array([14.0, -8.0, 5.0])
    tone = tone_of(as_jpeg(GREY[..., None] + hue, quality))
    assert tone.kind == "colour"
    with pytest.raises(ValueError, match="only a tint can be given"):
        tone.from_grey(tensor(GREY))


def test_a_stamp_in_colour_on_a_grey_page_is_colour() -> None:
    image = np.repeat(GREY[..., None], 3, -1)
    image[100:124, 60:84] = (180, 40, 40)
    assert tone_of(tensor(image)).kind == "colour"


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (20, 30)])
def test_small_and_flat_images_have_a_tone(size: tuple[int, int]) -> None:
    flat = np.zeros((*size, 3)) + np.array([200.0, 180.0, 120.0])
    tone = tone_of(tensor(flat))
    assert tone.kind == "tint"
    assert (tone.from_grey(tone.to_grey(tensor(flat))) - tensor(flat)).abs().max() < 1e-5
    assert tone_of(tensor(flat[..., :1].repeat(3, -1))).kind == "grey"


@pytest.mark.parametrize("image", [torch.zeros(2, 8, 8), torch.full((3, 8, 8), torch.nan)])
def test_no_image_is_refused(image: Tensor) -> None:
    with pytest.raises(ValueError, match=r"channels, got 2|nan or inf"):
        tone_of(image)
