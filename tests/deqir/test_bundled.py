"""The prior in the package: there without a fetch, whole, FFDNet at heart, and good where FFDNet is blind."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from deqir import PriorError, Restorer, load_prior, prior_digest
from deqir.operators import SuperResolution
from deqir.priors import FFDNet, available_priors, prior_directory, read_card
from deqir.priors.catalog import PINNED
from deqir.priors.pyramid import FFDNET_NOISE, PyramidDenoiser

MEBIBYTE = 2**20


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path / "cache"))


def photograph() -> Tensor:
    """The middle of scikit-image's astronaut in [0, 1]."""
    return torch.from_numpy(np.array(data.astronaut()[100:228, 150:278])).permute(2, 0, 1)[None] / 255


def psnr(found: Tensor, clean: Tensor) -> float:
    return -10 * math.log10(float((found - clean).square().mean()))


def bundled_network() -> Any:
    denoiser: Any = load_prior("bundled", device="cpu").denoiser
    return denoiser.network


def pyramid(seed: int = 0, *, trained: bool = False) -> PyramidDenoiser:
    """A small one; `trained` gives its correctors something to say."""
    torch.manual_seed(seed)
    network = PyramidDenoiser(width=8, blocks=1, coarse_width=12, coarse_blocks=1, levels=3)
    if trained:
        for corrector in network.correctors:
            torch.nn.init.normal_(corrector.last.weight, std=0.05)  # type: ignore[union-attr, arg-type]
    return network.requires_grad_(False)


def test_it_is_there_without_a_fetch_and_its_weights_are_the_pinned_ones() -> None:
    assert available_priors()["bundled"] is not None
    prior = load_prior("bundled", device="cpu")
    assert prior.name == "bundled"
    assert prior.digest == prior_digest("bundled") == PINNED["bundled"]


def test_its_weights_are_small_and_its_model_card_is_beside_them() -> None:
    directory = prior_directory("bundled")
    assert (directory / "model.safetensors").stat().st_size < 16 * MEBIBYTE
    card = (directory / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert read_card(directory).sha256 in card


@pytest.mark.parametrize("harm", ["altered", "cut short"])
def test_a_harmed_copy_is_refused(harm: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(prior_directory("bundled"), copy)
    path = copy / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content if harm == "altered" else content[: len(content) // 2])
    with pytest.raises(PriorError, match="altered or cut short"):
        load_prior(str(copy))


def test_weights_of_another_shape_than_the_card_states_are_refused(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(prior_directory("bundled"), copy)
    card = (copy / "deqir.json").read_text()
    (copy / "deqir.json").write_text(card.replace('"levels": 5', '"levels": 4'))
    with pytest.raises(PriorError, match="do not fit the architecture its card states"):
        load_prior(str(copy))


def test_noise_beyond_its_range_is_refused_and_pure_noise_is_not() -> None:
    prior = load_prior("bundled", device="cpu")
    assert prior.max_noise >= 2
    prior.check_noise(prior.max_noise)
    with pytest.raises(PriorError, match="knows noise up to"):
        Restorer(prior, start_noise=1.1 * prior.max_noise)(torch.zeros(1, 3, 4, 4), SuperResolution(scale=4))


@pytest.mark.parametrize(("noise", "gain"), [(0.02, -0.01), (0.1, -0.01), (0.25, 0.05), (0.5, 8.0), (2.0, 12.0)])
def test_it_denoises_no_worse_than_the_ffdnet_in_it_and_far_better_beyond_its_noise(noise: float, gain: float) -> None:
    network, clean = bundled_network(), photograph()
    noisy = clean + noise * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    ours = psnr(network(noisy, torch.tensor([noise])), clean)
    theirs = psnr(network.ffdnet(noisy, torch.tensor([min(noise, FFDNET_NOISE)])), clean)
    assert ours > theirs + gain


def test_it_restores_images_of_any_size_from_strong_noise() -> None:
    restorer = Restorer(load_prior("bundled", device="cpu"), steps=3, start_noise=1.0)
    for height, width in ((1, 1), (9, 13)):
        y = torch.zeros(1, 3, height, width)
        found = restorer(y, SuperResolution(scale=3)).images
        assert found.shape == (1, 3, 3 * height, 3 * width)
        assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("noise", [0.01, 0.1, FFDNET_NOISE])
def test_before_training_it_is_ffdnet_wherever_ffdnet_knows_the_noise(noise: float) -> None:
    network, x = pyramid(), torch.rand(2, 3, 16, 24)
    assert isinstance(network.ffdnet, FFDNet)
    sigma = torch.full((2,), noise)
    torch.testing.assert_close(network(x, sigma), network.ffdnet(x, sigma))


@pytest.mark.parametrize("noise", [0.05, 0.4, 1.5])
def test_each_scale_denoises_the_pooled_image_with_the_noise_that_pooling_leaves(noise: float) -> None:
    """What the scales below the first find is what the network without the first finds of the pooled image."""
    network = pyramid(trained=True)
    smaller = pyramid(trained=True)
    smaller.correctors = network.correctors[1:]
    smaller.ffdnet = network.ffdnet
    x = torch.rand(2, 3, 16, 24)
    _, *coarse = network.scales(x, torch.full((2,), noise))
    alone = smaller.scales(torch.nn.functional.avg_pool2d(x, 2), torch.full((2,), noise / 2))
    for one, other in zip(coarse, alone, strict=True):
        torch.testing.assert_close(one, other)


def test_an_image_does_not_depend_on_its_batch() -> None:
    network = pyramid(trained=True)
    x, sigma = torch.rand(3, 3, 16, 16), torch.tensor([0.05, 0.5, 1.5])
    together = network(x, sigma)
    for n in range(3):
        torch.testing.assert_close(network(x[n : n + 1], sigma[n : n + 1])[0], together[n])


def test_strong_noise_reaches_no_trunk_stronger_than_ffdnet_knows() -> None:
    """The finest FFDNet sees an image whose distance from the estimate is scaled to the noise it knows."""
    network, seen = pyramid(), list[Tensor]()
    network.ffdnet.model[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    noise = 1.0
    x = 0.5 + noise * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    coarse = network.scales(x, torch.tensor([noise]))[1]
    read = torch.nn.functional.pixel_shuffle(seen[-1][:, :12], 2)
    estimate = torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(read, estimate + FFDNET_NOISE / noise * (x - estimate))
    assert float(seen[-1][:, 12].max()) == pytest.approx(FFDNET_NOISE)
