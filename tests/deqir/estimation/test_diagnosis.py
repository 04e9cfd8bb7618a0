"""The diagnosis of photographs that were compressed, are grainy or out of focus, and of other pictures."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from skimage import data
from torch import Tensor
from torch.nn import functional

from deqir.estimation import diagnose

NAMES = ("astronaut", "chelsea", "coffee", "rocket")


@cache
def shrunk(name: str) -> np.ndarray:
    """A photograph of scikit-image at half its size, shape (H, W, 3), in levels."""
    pixels = torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1).float()
    return functional.avg_pool2d(pixels, 2).permute(1, 2, 0).numpy()


def image_of(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))


def tensor_of(image: Image.Image) -> Tensor:
    """An image in [-1, 1]."""
    pixels = np.array(image)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1) / 127.5 - 1


def jpeg(image: Image.Image, quality: int) -> tuple[Tensor, Tensor]:
    """The decoded pixels and the luma steps of a JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    opened = Image.open(buffer)
    return tensor_of(opened), torch.tensor(opened.quantization[0]).reshape(8, 8).float()  # type: ignore[attr-defined]


def grain(shape: tuple[int, ...], level: float, width: float) -> np.ndarray:
    """Smoothed noise, the same in all channels."""
    noise = np.random.default_rng(0).standard_normal(shape[:2])
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None])
    smooth = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-2 * (np.pi * width * frequency) ** 2)).real
    return (level * smooth / smooth.std())[..., None]


@pytest.mark.parametrize("quality", [40, 70, 90])
@pytest.mark.parametrize("name", NAMES)
def test_a_compressed_photograph_may_be_without_noise_and_shows_its_quality(name, quality) -> None:
    pixels, table = jpeg(image_of(shrunk(name)), quality)
    found = diagnose(pixels, luma_table=table)
    assert found.kind == "photograph"
    assert found.tone == "colour"
    assert found.jpeg is not None
    assert found.jpeg.quality == quality
    assert found.noise is None or found.noise.sigma.low * 255 < 1.5
    assert found.blur is None or found.blur.low < 0.4


@pytest.mark.parametrize("quality", [70, 90])
@pytest.mark.parametrize("level", [3.0, 12.0, 20.0])
def test_noise_before_jpeg_is_told_to_two_levels_or_two_fifths(level, quality) -> None:
    near = 0
    for seed, name in enumerate(NAMES):
        noise = level * np.random.default_rng(seed).standard_normal(shrunk(name).shape)
        pixels, table = jpeg(image_of(shrunk(name) + noise), quality)
        found = diagnose(pixels, luma_table=table).noise
        near += found is not None and abs(found.sigma.value * 255 - level) <= max(2, 0.4 * level)
        assert found is None or found.sigma.low * 255 <= level <= found.sigma.high * 255
    assert near >= 3


@pytest.mark.parametrize("width", [1.0, 1.8, 2.6])
def test_blur_before_noise_and_jpeg_is_told_to_half_a_pixel_or_three_tenths(width) -> None:
    near = 0
    for seed, name in enumerate(NAMES):
        soft = np.asarray(image_of(shrunk(name)).filter(ImageFilter.GaussianBlur(width))).astype(float)
        soft += 3 * np.random.default_rng(seed).standard_normal(soft.shape)
        pixels, table = jpeg(image_of(soft), 85)
        found = diagnose(pixels, luma_table=table).blur
        near += found is not None and abs(found.value - width) <= max(0.5, 0.3 * width)
    assert near >= 3


def test_grain_is_told_from_white_noise_with_its_level() -> None:
    for name in NAMES:
        grainy, white = (
            diagnose(tensor_of(image_of(shrunk(name) + noise))).noise
            for noise in (
                grain(shrunk(name).shape, 12, 0.9),
                12 * np.random.default_rng(0).standard_normal(shrunk(name).shape),
            )
        )
        assert grainy is not None
        assert white is not None
        assert grainy.is_grain
        assert not white.is_grain
        assert grainy.sigma.value * 255 == pytest.approx(12, rel=0.4)
        assert grainy.power(0.1) > 1 > grainy.power(0.45)


def test_the_power_of_grain_has_the_mean_of_white_noise() -> None:
    found = diagnose(tensor_of(image_of(shrunk("chelsea") + grain(shrunk("chelsea").shape, 12, 0.9)))).noise
    assert found is not None
    frequency = torch.hypot(torch.fft.fftfreq(256)[:, None], torch.fft.fftfreq(256)[None])
    powers = [found.power(float(each)) for each in frequency.flatten()[::7]]
    assert float(np.mean(powers)) == pytest.approx(1, rel=0.02)


def test_a_jpeg_without_its_file_is_diagnosed_from_its_pixels() -> None:
    pixels, table = jpeg(image_of(shrunk("astronaut")), 60)
    alone, cut, told = diagnose(pixels), diagnose(pixels[:, 3:, 5:]), diagnose(pixels, luma_table=table)
    assert [found.jpeg.quality for found in (alone, cut, told) if found.jpeg] == [60, 60, 60]
    assert cut.jpeg is not None
    assert cut.jpeg.offset == (5, 3)


def text() -> Image.Image:
    page = Image.new("L", (192, 128), 255)
    for line, words in enumerate(("Archive box 17, folio 4v", "received 1899, page 42", "see also box 16")):
        ImageDraw.Draw(page).text((6, 8 + 38 * line), words, fill=0, font=ImageFont.load_default(18))
    return page


def halftone() -> Image.Image:
    dots, tone = (np.indices((96, 96)) % 6 - 2.5) ** 2, np.linspace(1, 12, 96)[None]
    return Image.fromarray(((dots.sum(0) > tone) * 255).astype(np.uint8))


def pixel_art() -> Image.Image:
    small = image_of(shrunk("chelsea")).resize((32, 32)).quantize(8).convert("RGB")
    return small.resize((128, 128), Image.Resampling.NEAREST)


PICTURES = {
    "text": (text(), {"text"}),
    "text of one bit": (text().convert("1").convert("L"), {"text"}),
    "halftone": (halftone(), {"text", "graphics"}),
    "pixel art": (pixel_art(), {"graphics"}),
    "grey ground": (Image.new("RGB", (48, 48), (128, 128, 128)), {"flat"}),
    "blank page": (Image.new("RGB", (64, 96), (250, 248, 240)), {"flat"}),
    "ramp": (Image.fromarray(np.linspace(40, 220, 96)[None].repeat(64, 0).astype(np.uint8)), {"flat", "graphics"}),
}


@pytest.mark.parametrize("quality", [None, 90, 75, 60])
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_that_are_no_photographs_are_recognised_after_jpeg_too(name, quality) -> None:
    picture, kinds = PICTURES[name]
    pixels, table = (tensor_of(picture), None) if quality is None else jpeg(picture, quality)
    found = diagnose(pixels, luma_table=table)
    assert found.kind in kinds
    assert found.noise is None
    assert found.blur is None


@pytest.mark.parametrize("name", NAMES)
def test_photographs_stay_photographs_in_grey_in_the_dark_in_fog_and_with_noise(name) -> None:
    levels = shrunk(name)
    grey = levels @ np.array([[0.299], [0.587], [0.114]])
    noise = 15 * np.random.default_rng(0).standard_normal(levels.shape)
    for changed in (levels, grey[..., 0], 0.3 * levels, 0.3 * levels + 160, levels + noise):
        for quality in (None, 30):
            picture = image_of(changed)
            pixels = tensor_of(picture) if quality is None else jpeg(picture, quality)[0]
            assert diagnose(pixels).kind == "photograph"


@pytest.mark.parametrize("quality", [None, 85, 50])
def test_grey_sepia_and_colours_are_told_apart(quality) -> None:
    grey = np.asarray(image_of(shrunk("coffee")).convert("L")).astype(float)
    sepia = np.stack([grey * 1.07, grey * 0.93, grey * 0.72], -1)
    for levels, tone in (
        (grey, "grey"),
        (np.stack([grey] * 3, -1), "grey"),
        (sepia, "tint"),
        (shrunk("coffee"), "colour"),
    ):
        picture = image_of(levels)
        assert diagnose(tensor_of(picture) if quality is None else jpeg(picture, quality)[0]).tone == tone


def test_small_images_have_no_noise_or_blur_told() -> None:
    for shape in ((1, 8, 8), (3, 5, 40), (3, 1, 1), (3, 40, 40)):
        found = diagnose(torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1)
        assert found.noise is None
        assert found.blur is None


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="luma_table"):
        diagnose(torch.zeros(3, 16, 16), luma_table=torch.ones(64))
