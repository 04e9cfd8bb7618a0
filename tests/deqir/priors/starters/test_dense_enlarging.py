"""Dense enlargers: the published computation on their inputs, and their place among the other enlargers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deqir import Prior, Restorer, load_prior
from deqir.metrics import psnr
from deqir.operators import Colorization, Inpainting, KernelSuperResolution, SuperResolution, masks
from deqir.priors import BUNDLED, BUNDLED_LARGE
from deqir.priors.starters import enlarging
from deqir.priors.starters.enlarging import MOST_NOISE, DenseEnlarger, Enlarger
from deqir.priors.starters.starters import Skills
from deqir.protocols import LinearOperator
from tests.deqir.pretrained.test_real_esrgan import as_written
from tests.deqir.priors.starters.starting import dense_enlarger, enlargers, starters
from tests.deqir.problems import rand


def by_hand(network: DenseEnlarger, y: Tensor, told: tuple[float, float, float]) -> Tensor:
    """The paper's network on y in [0, 1] and three planes, then pixels out of channels."""
    planes = torch.cat([(y + 1) / 2, *(torch.full_like(y[:, :1], value) for value in told)], 1)
    x = as_written(dict(network.state_dict()), 2 * planes - 1)
    n, _, height, width = x.shape
    more = network.scale // 4
    x = x.view(n, 3, more, more, height, width).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(n, 3, more * height, more * width)


@pytest.mark.parametrize("scale", [4, 8])
@pytest.mark.parametrize(("sigma_y", "noise"), [(0.0, 0.0), (0.1, 0.05), (1.0, MOST_NOISE)])
def test_the_filter_and_the_noise_are_told_in_planes_beside_y(scale, sigma_y, noise) -> None:
    networks, y = enlargers(scale, dense=(scale,)), rand(2, 3, 5, 7).float()
    network = networks.networks[str(scale)]
    assert isinstance(network, DenseEnlarger)
    cases: list[tuple[LinearOperator, tuple[float, float]]]
    cases = [(SuperResolution(scale=scale), (1, 0)), (KernelSuperResolution(scale=scale), (0, 1))]
    for A, (average, bicubic) in cases:
        found = networks.make_start(A, y, sigma_y)
        torch.testing.assert_close(found, by_hand(network, y, (average, bicubic, noise)), atol=1e-5, rtol=1e-5)


def test_a_large_image_is_enlarged_part_by_part_as_in_one_piece(monkeypatch) -> None:
    networks, A = enlargers(4, dense=(4,)), SuperResolution(scale=4)
    y = rand(1, 3, 50, 37).float()
    whole = networks.networks["4"](y, 0, torch.zeros(1))
    monkeypatch.setattr(enlarging, "TILE", 16)
    torch.testing.assert_close(networks.make_start(A, y, 0.0), whole, atol=1e-5, rtol=1e-5)


def test_each_scale_has_the_network_that_was_asked_for() -> None:
    networks = starters(Skills(enlarges=(2, 4, 8), dense=(4,))).enlargers
    assert networks is not None
    kinds = {scale: type(network) for scale, network in networks.networks.items()}
    assert kinds == {"2": Enlarger, "4": DenseEnlarger, "8": Enlarger}
    for scale in (2, 4, 8):
        y = rand(1, 3, 4, 6).float()
        assert networks.make_start(SuperResolution(scale=scale), y, 0.0).shape == (1, 3, 4 * scale, 6 * scale)


def test_a_dense_network_knows_one_filter_from_the_other() -> None:
    torch.manual_seed(0)
    network, y = dense_enlarger(4), rand(1, 3, 6, 6).float()
    assert not torch.allclose(network(y, 0, torch.zeros(1)), network(y, 1, torch.zeros(1)), atol=1e-3)


@pytest.fixture(scope="module")
def small_and_large() -> tuple[Prior, Prior]:
    small, large = (load_prior(name, device="cpu") for name in (BUNDLED, BUNDLED_LARGE))
    return small, large


@pytest.mark.parametrize("scale", [4, 8])
def test_the_large_prior_is_nearer_to_a_photograph_than_the_small_one(scale, small_and_large) -> None:
    from skimage import data

    x = torch.from_numpy(data.coffee()[100:228, 250:378].copy()).permute(2, 0, 1)[None] / 127.5 - 1
    A = SuperResolution(scale=scale)
    small, large = (Restorer(prior)(A(x), A, seed=1).images for prior in small_and_large)
    assert float(psnr(large, x)) > float(psnr(small, x)) + 0.1


@pytest.mark.parametrize("A", [SuperResolution(scale=2), Inpainting(keep=masks.text(48, 48)), Colorization()])
def test_what_the_large_prior_has_no_dense_network_for_comes_out_as_with_the_small_one(A, small_and_large) -> None:
    y = A(rand(1, 3, 48, 48).float().clamp(-1, 1))
    small, large = (Restorer(prior)(y, A, seed=1).images for prior in small_and_large)
    assert torch.equal(small, large)
