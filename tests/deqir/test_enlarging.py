"""Networks that enlarge: what they are used for, and that chains start from what they make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from deqir import Engine, Prior, PriorError, Restorer, load_prior
from deqir.metrics import psnr
from deqir.operators import Colorization, Composition, KernelSuperResolution, SuperResolution, kernels
from deqir.priors import (
    BUNDLED,
    DenoiserPrior,
    FFDNet,
    PriorCard,
    fetch_prior,
    prior_digest,
    prior_directory,
    write_prior,
)
from deqir.priors.enlarging import MOST_NOISE, PREFIX, SIDE, Enlarger, Enlargers
from deqir.protocols import LinearOperator
from deqir.replicas import replicate
from deqir.requests import Request, Tally
from deqir.settings import Defaults, Settings
from tests.deqir.problems import rand

SHAPE = {"channels": 3, "width": 8, "depth": 3}
BICUBIC = KernelSuperResolution(scale=2)


def enlargers(*scales: int, width: int = 8, depth: int = 3) -> Enlargers:
    torch.manual_seed(0)
    networks = Enlargers(scales, width=width, depth=depth)
    for network in networks.networks.values():
        assert isinstance(network, Enlarger)
        torch.nn.init.normal_(network.kernels)
    return networks.eval().requires_grad_(False)


def prior_with(networks: Enlargers | None) -> Prior:
    """A small random denoiser, and networks beside it."""
    torch.manual_seed(1)
    network = FFDNet(**SHAPE).eval().requires_grad_(False)
    denoiser = DenoiserPrior(network, max_noise=0.3)
    home = torch.device("cpu")
    return Prior(name="mine", digest="", denoiser=denoiser, device=home, multiple=2, max_noise=0.3, enlargers=networks)


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
def test_the_filter_and_the_noise_are_told_as_published(
    A: LinearOperator, kernel: int, sigma_y: float, told: float
) -> None:
    networks, y = enlargers(2), rand(2, 3, 5, 7).float()
    found = networks.start(A, y, sigma_y)
    assert found is not None
    network = networks.networks["2"]
    assert isinstance(network, Enlarger)
    torch.testing.assert_close(found, by_hand(network, y, kernel, told))


@pytest.mark.parametrize(
    "A",
    [
        SuperResolution(scale=3),
        SuperResolution(scale=(2, 4)),
        KernelSuperResolution(scale=2, kernel=kernels.gaussian(1.0)),
        Composition(parts=(Colorization(), SuperResolution(scale=2))),
        Colorization(),
    ],
    ids=["another scale", "two scales", "another filter", "several things", "something else"],
)
def test_what_they_do_not_know_starts_as_without_them(A: LinearOperator) -> None:
    prior, plain = prior_with(enlargers(2, 4)), prior_with(None)
    y = A(rand(1, 3, 24, 24).float())
    assert not prior.starts(A)
    settings = {"steps": 2, "denoiser_batch": 1}
    found, wanted = (Restorer(one, **settings)(y, A, seed=3) for one in (prior, plain))  # type: ignore[arg-type]
    assert torch.equal(found.images, wanted.images)


def test_a_large_image_is_enlarged_part_by_part_as_in_one_piece() -> None:
    networks, A = enlargers(2), SuperResolution(scale=2)
    y = rand(1, 3, SIDE + 9, SIDE + 30).float()
    found = networks.start(A, y, 0.0)
    network = networks.networks["2"]
    assert found is not None
    torch.testing.assert_close(found, network(y, 0, torch.zeros(1)))


def test_a_grey_image_is_enlarged_as_one_in_colour_whose_channels_are_alike() -> None:
    networks, A, grey = enlargers(2), SuperResolution(scale=2), rand(1, 1, 4, 6).float()
    found, colour = (networks.start(A, y, 0.0) for y in (grey, grey.expand(-1, 3, -1, -1)))
    assert found is not None
    assert colour is not None
    torch.testing.assert_close(found, colour.mean(1, keepdim=True))


def test_chains_start_from_the_enlarged_image_made_to_agree_with_y() -> None:
    networks, A = enlargers(2), SuperResolution(scale=2)
    engine = Engine(prior_with(networks), Settings(steps=2, denoiser_batch=1))
    y, picture = rand(3, 4, 6).float(), rand(3, 8, 12).float()
    sampler = engine.sampler(Request(y=y, operator=A, seed=0, tag=0))
    assert float(sampler.chain.sigma[0]) == pytest.approx(2 * Defaults.ENLARGED_NOISE)
    raw = networks.start(A, y[None], 0.0)
    assert raw is not None
    torch.testing.assert_close(A(sampler.start)[0], y)
    torch.testing.assert_close(sampler.start - A.pinv(A(sampler.start)), raw - A.pinv(A(raw)))
    noisy = engine.sampler(Request(y=y, operator=A, seed=0, tag=0, sigma_y=0.1))
    torch.testing.assert_close(noisy.start, networks.start(A, y[None], 0.1))
    given = engine.sampler(Request(y=y, operator=A, seed=0, tag=0, start=picture))
    torch.testing.assert_close(given.start[0] - A.pinv(A(given.start))[0], picture - A.pinv(A(picture[None]))[0])
    assert float(given.chain.sigma[0]) == pytest.approx(2 * Defaults.GIVEN_NOISE)


def test_copies_on_several_devices_start_as_one() -> None:
    A, y = SuperResolution(scale=2), rand(2, 3, 4, 6).float()
    one = prior_with(enlargers(2))
    found, wanted = (Restorer(prior, steps=2)(y, A, seed=1) for prior in (replicate([one, one]), one))
    torch.testing.assert_close(found.start, wanted.start)


def written(directory: Path, networks: Enlargers, *, scales: tuple[int, ...]) -> Path:
    torch.manual_seed(1)
    weights = FFDNet(**SHAPE).state_dict() | {PREFIX + key: one.half() for key, one in networks.state_dict().items()}
    card = PriorCard(name="mine", kind="denoiser", sha256="", max_noise=0.3, architecture=SHAPE, enlarges=scales)
    write_prior(directory, card, weights)
    return directory


def test_a_prior_is_read_with_its_networks(tmp_path: Path) -> None:
    networks = enlargers(2, width=128, depth=12)
    prior = load_prior(str(written(tmp_path / "mine", networks, scales=(2,))), device="cpu")
    A, y = SuperResolution(scale=2), rand(1, 3, 4, 6).float()
    assert prior.enlargers is not None
    found, wanted = prior.enlargers.start(A, y, 0.0), networks.start(A, y, 0.0)
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=2e-3)


def test_networks_that_the_card_does_not_tell_of_are_refused(tmp_path: Path) -> None:
    directory = written(tmp_path / "mine", enlargers(2, width=128, depth=12), scales=(2, 4))
    with pytest.raises(PriorError, match="not of what its card says that it enlarges"):
        load_prior(str(directory), device="cpu")


@pytest.fixture(scope="module")
def bundled() -> Prior:
    return load_prior(BUNDLED, device="cpu")


def test_the_bundled_prior_needs_no_fetching_and_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path))
    assert fetch_prior(BUNDLED) == prior_directory(BUNDLED)
    assert load_prior(BUNDLED, device="cpu").digest == prior_digest(BUNDLED)
    assert not list(tmp_path.iterdir())


@pytest.mark.ffdnet
@pytest.mark.skipif(
    not (prior_directory("ffdnet") / "deqir.json").exists(), reason="needs FFDNet; run: deqir models fetch ffdnet"
)
def test_the_bundled_prior_denoises_as_ffdnet(bundled: Prior) -> None:
    x_t, alpha_bar = rand(1, 3, 32, 32).float(), torch.tensor([0.9], dtype=torch.float64)
    assert torch.equal(bundled(x_t, alpha_bar), load_prior("ffdnet", device="cpu")(x_t, alpha_bar))


@pytest.mark.parametrize("scale", [4, 8])
def test_the_bundled_prior_is_nearer_to_a_photograph_than_its_denoiser_alone(bundled: Prior, scale: int) -> None:
    from skimage import data

    x = torch.from_numpy(data.coffee()[100:228, 250:378].copy()).permute(2, 0, 1)[None] / 127.5 - 1
    A = SuperResolution(scale=scale)
    alone = replace(bundled, enlargers=None)
    found, wanted = (Restorer(prior, steps=10)(A(x), A, seed=1).images for prior in (bundled, alone))
    assert float(psnr(found, x)) > float(psnr(wanted, x)) + 0.1


def test_short_chains_fill_a_wide_batch_with_as_many_images_as_their_steps_leave_room_for() -> None:
    """Twelve evaluations a call, three steps an image: four images start in the first round, not one."""
    A = SuperResolution(scale=2)
    engine = Engine(prior_with(enlargers(2)), Settings(mode="latency", tolerance=0.0, denoiser_batch=12))
    tally = Tally()
    requests = [Request(y=rand(3, 4, 6, seed=n).float(), operator=A, seed=n, tag=n) for n in range(8)]
    results = list(engine.run(requests, tally=tally))
    assert {result.tag for result in results} == set(range(8))
    assert tally.calls == 6  # two lots of four images: 12, 8 and 4 evaluations each
