"""Estimates against known degradations of photographs, and the misfit check against right and wrong operators."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from statistics import fmean

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from skimage import data
from torch import Tensor
from torch.nn import functional

from deqir.estimation import check_fit, estimate_blur, estimate_jpeg, estimate_noise, estimate_upscaling, propose_damage
from deqir.estimation.jpeg import quantisation, typical_error
from deqir.estimation.spectrum import block_powers
from deqir.operators import Colorization, Inpainting, SeparableDeblurring, SuperResolution, kernels

NAMES = ("astronaut", "chelsea", "coffee", "rocket")


@cache
def photograph(name: str) -> Tensor:
    """A photograph of scikit-image, at most 512 pixels wide, in levels, shape (3, H, W); sides divisible by 8."""
    pixels = torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1).float()
    return pixels[:, : pixels.shape[1] // 8 * 8, : min(512, pixels.shape[2] // 8 * 8)]


@cache
def shrunk(name: str) -> Tensor:
    """A photograph at half its size, with little of its own noise, blur and compression left."""
    return functional.avg_pool2d(photograph(name), 2)


def stored(levels: Tensor) -> Tensor:
    """An image of 8 bits, in [-1, 1]."""
    return levels.round().clamp(0, 255) / 127.5 - 1


def blurred(levels: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur by direct summation, independent of the library's operators."""
    reach = int(4 * sigma) + 1
    line = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    line = (line / line.sum())[None, None]
    wide = functional.pad(levels[:, None], (reach,) * 4, mode="reflect")
    wide = functional.conv2d(wide, line[..., None, :].reshape(1, 1, 1, -1))
    return functional.conv2d(wide, line.reshape(1, 1, -1, 1))[:, 0]


def with_noise(levels: Tensor, sigma: float) -> Tensor:
    return levels + sigma * torch.randn(levels.shape, generator=torch.Generator().manual_seed(1))


def compressed(image: Tensor, quality: int) -> Tensor:
    """An image in [-1, 1] after encoding and decoding as JPEG."""
    values = ((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1) / 127.5 - 1


@pytest.mark.parametrize("sigma", [5.0, 10.0, 25.0])
@pytest.mark.parametrize("name", NAMES)
def test_known_noise_on_a_photograph_is_found_to_a_tenth_and_lies_in_the_interval(name, sigma) -> None:
    found = estimate_noise(stored(with_noise(shrunk(name), sigma)))
    assert found is not None
    assert found.sigma.value * 255 == pytest.approx(sigma, rel=0.1)
    assert found.sigma.low <= sigma / 255 <= found.sigma.high
    assert len(found.channels) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_photograph_without_noise_may_be_without_noise(name) -> None:
    found = estimate_noise(stored(shrunk(name)))
    assert found is not None
    assert found.sigma.low * 255 < 1


def test_each_channel_has_its_own_noise() -> None:
    sigma = torch.tensor([4.0, 8.0, 16.0])[:, None, None]
    levels = shrunk("chelsea")
    noise = torch.randn(levels.shape, generator=torch.Generator().manual_seed(0))
    found = estimate_noise(stored(levels + sigma * noise))
    assert found is not None
    assert [255 * each for each in found.channels] == pytest.approx([4, 8, 16], rel=0.12)


def test_clipped_areas_are_left_out_and_an_image_of_nothing_else_has_no_estimate() -> None:
    noisy = stored(with_noise(shrunk("coffee"), 8))
    noisy[:, :, :120] = 1
    found = estimate_noise(noisy)
    assert found is not None
    assert found.sigma.value * 255 == pytest.approx(8, rel=0.1)
    for nothing in (torch.ones(3, 64, 64), torch.zeros(3, 7, 64)):
        assert estimate_noise(nothing) is None


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("name", NAMES)
def test_the_width_of_a_gaussian_blur_is_found(name, sigma) -> None:
    found = estimate_blur(stored(blurred(shrunk(name), sigma)))
    assert found is not None
    assert found.value == pytest.approx(sigma, rel=0.2)
    assert found.low <= sigma <= found.high


@pytest.mark.parametrize("name", NAMES)
def test_a_sharp_photograph_may_be_without_blur(name) -> None:
    found = estimate_blur(stored(shrunk(name)))
    assert found is not None
    assert found.low < 0.3


@pytest.mark.parametrize("quality", [20, 50, 75, 90, 95])
@pytest.mark.parametrize("name", NAMES)
def test_the_quality_of_a_jpeg_is_found_in_its_pixels(name, quality) -> None:
    found = estimate_jpeg(compressed(stored(shrunk(name)), quality))
    assert found is not None
    assert (found.quality, found.offset) == (quality, (0, 0))


def test_a_jpeg_that_was_cropped_is_found_with_its_blocks() -> None:
    found = estimate_jpeg(compressed(stored(shrunk("astronaut")), 60)[:, 3:, 5:])
    assert found is not None
    assert (found.quality, found.offset) == (60, (5, 3))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_never_a_jpeg_shows_none(name) -> None:
    assert estimate_jpeg(stored(shrunk(name))) is None


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_the_tables_are_those_that_the_encoder_writes(quality) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=quality)
    table = Image.open(buffer).quantization[0]  # type: ignore[attr-defined]
    assert quantisation(quality).flatten().tolist() == table


@pytest.mark.parametrize("scale", [3, 4, 5])
@pytest.mark.parametrize("name", NAMES)
def test_the_scale_of_a_bilinear_enlargement_is_found(name, scale) -> None:
    small = shrunk(name)[None, :, :100, :100]
    large = functional.interpolate(small, scale_factor=scale, mode="bilinear", align_corners=False)[0]
    found = estimate_upscaling(stored(large))
    assert found is not None
    assert found.scale == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_not_enlarged_has_no_scale_nor_has_a_jpeg(name) -> None:
    assert estimate_upscaling(stored(shrunk(name))) is None
    assert estimate_upscaling(compressed(stored(shrunk(name)), 50)) is None


def test_scratches_are_marked_and_little_else() -> None:
    image = photograph("astronaut")[:, :256, :256]
    plane = Image.new("L", (256, 256))
    pen = ImageDraw.Draw(plane)
    for line in ((10, 20, 240, 60), (200, 10, 180, 240), (30, 250, 120, 100)):
        pen.line(line, fill=255, width=2)
    damaged = torch.from_numpy(np.array(plane)) > 0
    found = propose_damage(stored(torch.where(damaged, 250.0, image)))
    assert found is not None
    assert float((found.mask & damaged).sum() / damaged.sum()) > 0.7
    near = functional.max_pool2d(damaged[None].float(), 9, 1, 4)[0] > 0
    assert float((found.mask & ~near).float().mean()) < 0.05


@dataclass(frozen=True)
class Wrong:
    """The true degradation of an image, and the one assumed for it."""

    made: str
    told: str


def made(how: str, levels: Tensor) -> Tensor:
    """y of a photograph, in [-1, 1]: "sr4", "blur2", "blur2+noise5"."""
    base, _, noise = how.partition("+noise")
    if base.startswith("blur"):
        y = blurred(levels[:, :256, :256], float(base[4:]))
    else:
        y = functional.avg_pool2d(levels, int(base[2:]))
    return stored(with_noise(y, float(noise)) if noise else y)


def operator(told: str) -> SuperResolution | SeparableDeblurring:
    if told.startswith("blur"):
        return SeparableDeblurring(kernel=kernels.gaussian(float(told[4:])))
    return SuperResolution(scale=int(told[2:]))


@pytest.mark.parametrize(
    "case",
    [
        Wrong("blur1.5", "sr4"),
        Wrong("blur4", "sr4"),
        Wrong("sr2", "blur2"),
        Wrong("blur4", "blur2"),
        Wrong("blur2", "blur4"),
        Wrong("sr2+noise10", "sr2"),
        Wrong("blur2+noise5", "blur2"),
    ],
    ids=lambda case: f"{case.made} told as {case.told}",
)
def test_an_operator_that_cannot_have_made_the_image_is_suspected(case) -> None:
    for name in NAMES:
        found = check_fit(made(case.made, photograph(name)), operator(case.told))
        assert found is not None
        assert found.suspect, name


@pytest.mark.parametrize("how", ["sr2", "sr4", "blur1", "blur2", "blur4"])
def test_the_operator_that_made_the_image_is_not_suspected(how) -> None:
    for name in NAMES:
        found = check_fit(made(how, photograph(name)), operator(how))
        assert found is not None
        assert not found.suspect, (name, found)


def test_noise_that_was_told_is_no_misfit() -> None:
    y = made("sr2+noise10", photograph("astronaut"))
    told, hidden = check_fit(y, operator("sr2"), sigma_y=10 / 127.5), check_fit(y, operator("sr2"))
    assert told is not None
    assert hidden is not None
    assert told.noisier < 1 < hidden.noisier


@pytest.mark.parametrize("contrast", [15.0, 40.0])
def test_fine_grey_texture_that_fills_the_picture_is_no_noise_but_noise_on_it_is(contrast) -> None:
    """Texture like shrunk grass falls off towards the highest frequencies, unlike white noise."""
    grains = torch.randn(1, 192, 192, generator=torch.Generator().manual_seed(0))
    grass = blurred(grains, 0.5)
    grass = (128 + contrast * grass / grass.std()).expand(3, -1, -1)
    alone, noisy = (
        check_fit(stored(y), SuperResolution(scale=4))
        for y in (grass, grass + with_noise(torch.zeros(1, 192, 192), contrast / 2))
    )
    assert alone is not None
    assert noisy is not None
    assert alone.noisier < 1 < noisy.noisier


def test_what_a_mask_hides_is_not_judged() -> None:
    y = stored(shrunk("coffee"))
    keep = torch.ones(y.shape[-2:], dtype=torch.bool)
    keep[60:90, 40:220] = False
    whole = check_fit(y, Inpainting(keep=keep))
    y[:, 60:90, 40:220] = torch.randn(3, 30, 180)
    found = check_fit(y.clamp(-1, 1), Inpainting(keep=keep))
    assert whole == found
    assert found is not None
    assert not found.suspect


def test_grey_is_judged_and_tiny_or_flat_images_are_not() -> None:
    grey = Colorization()(stored(shrunk("chelsea"))[None])[0]
    assert check_fit(grey, Colorization()) is not None
    assert check_fit(torch.zeros(3, 16, 16), SuperResolution(scale=2)) is None
    assert check_fit(torch.ones(3, 64, 64), SuperResolution(scale=2)) is None


def test_power_is_the_variance_of_white_noise_at_every_frequency() -> None:
    noise = 128 + 6 * torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    powers = block_powers(noise)
    assert powers is not None
    means = (powers.mean(0) / 36).tolist()
    assert fmean(means) == pytest.approx(1, rel=0.03)
    assert means[4:] == pytest.approx([1.0] * len(means[4:]), abs=0.15)  # lower frequencies have few coefficients


def test_an_image_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="nan"):
        estimate_noise(torch.full((3, 8, 8), torch.nan))


def test_the_typical_error_of_jpeg_falls_with_quality_and_is_near_what_happens() -> None:
    errors = [typical_error(quality) for quality in (10, 30, 50, 70, 90, 97)]
    assert errors == sorted(errors, reverse=True)
    for name in NAMES:
        image = stored(shrunk(name))
        happened = float((compressed(image, 60) - image).square().mean().sqrt())
        assert 0.3 < happened / typical_error(60) < 2.5
