"""Noise as a restoration is told of it: that of grey images is the same in all channels, that of others is not."""

from __future__ import annotations

import io

import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from deqir import Restorer, load_prior
from deqir.metrics import psnr
from deqir.operators import Denoising, FramedDeblurring, SeparableDeblurring, SuperResolution, kernels
from deqir.priors import BUNDLED
from pipeline.images.codec import decode
from pipeline.inputs.noise import are_alike, in_each_channel, sigma_of

NOISE = 15 / 255
ROOT = 3**0.5


def photograph(side: int = 128) -> Tensor:
    """Part of a photograph in grey, shape (1, side, side)."""
    part = data.camera()[64 : 64 + side, 150 : 150 + side]
    return torch.from_numpy(part.copy())[None].float() / 127.5 - 1


def noisy(x: Tensor, noise: float = NOISE) -> Tensor:
    return x + 2 * noise * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def as_file(y: Tensor, kind: str) -> Tensor:
    """What a job sees of three channels that were stored in a file."""
    levels = ((y.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(levels).save(file, kind, quality=90)
    return decode(file.getvalue(), max_pixels=2**20).pixels


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_grey_photograph_in_a_file_in_colour_are_alike(kind) -> None:
    y = as_file(noisy(photograph()).expand(3, -1, -1), kind)
    assert y.shape[0] == 3
    assert are_alike(y, NOISE)


def test_one_channel_and_channels_with_noise_of_their_own_are_not_three_alike() -> None:
    grey = photograph()
    assert not are_alike(noisy(grey), NOISE)
    assert not are_alike(noisy(grey.expand(3, -1, -1)), NOISE)
    assert not are_alike(grey.expand(3, -1, -1), 0.0)


@pytest.mark.parametrize(
    "A", [Denoising(), SuperResolution(scale=2), SeparableDeblurring(kernel=kernels.gaussian(1.0))]
)
def test_the_noise_of_grey_counts_for_more_and_that_of_colour_for_what_it_is(A) -> None:
    grey = noisy(photograph())
    assert sigma_of(NOISE, A, grey.expand(3, -1, -1)) == pytest.approx(2 * NOISE * ROOT)
    assert sigma_of(NOISE, A, noisy(photograph().expand(3, -1, -1))) == pytest.approx(2 * NOISE)
    assert sigma_of(NOISE, A, grey) == pytest.approx(2 * NOISE)
    assert sigma_of(0.0, A, grey.expand(3, -1, -1)) == 0


@pytest.mark.parametrize("grey", [True, False])
def test_each_channel_has_the_noise_that_was_told_of_the_image(grey) -> None:
    x = photograph()
    y = noisy(x).expand(3, -1, -1) if grey else noisy(x.expand(3, -1, -1))
    found = in_each_channel(sigma_of(NOISE, Denoising(), y), y)
    assert found == pytest.approx(2 * NOISE)
    assert float((y - x).std()) == pytest.approx(found, rel=0.02)
    assert in_each_channel(0.0, y) == 0


def test_a_framed_blur_allows_for_noise_by_itself() -> None:
    A = FramedDeblurring(kernel=kernels.motion(5, 30.0))
    assert sigma_of(NOISE, A, noisy(photograph()).expand(3, -1, -1)) == 0


@pytest.mark.parametrize(("A", "gain"), [(Denoising(), 4.0), (SuperResolution(scale=2), 2.0)])
def test_a_grey_photograph_loses_its_noise_as_it_does_not_where_it_is_told_as_that_of_colour(A, gain) -> None:
    prior, x = load_prior(BUNDLED, device="cpu"), photograph()
    y = noisy(A(x[None])[0]).expand(3, -1, -1).contiguous()
    right, wrong = (
        float(psnr(Restorer(prior, steps=8)(y[None], A, seed=0, sigma_y=sigma).images, x.expand(3, -1, -1)[None]))
        for sigma in (sigma_of(NOISE, A, y), 2 * NOISE)
    )
    assert right > wrong + gain
