"""The pyramid before training: equal to FFDNet for its range of noise, sound beyond it, and whole from disk."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from deqir import PriorError, Restorer, load_prior
from deqir.networks.pyramid import FFDNET_NOISE, PyramidDenoiser
from deqir.operators import SuperResolution
from deqir.priors import PriorCard, write_prior
from tests.weights import needs_ffdnet

SHAPE = {"channels": 3, "width": 8, "blocks": 1, "coarse_width": 12, "coarse_blocks": 1, "levels": 3}
CARD = PriorCard(name="mine", kind="pyramid", sha256="", max_noise=1.0, architecture=SHAPE)
ORIGINALS = Path(__file__).parents[3] / "samples" / "originals"


def pyramid(seed: int = 0, *, trained: bool = False) -> PyramidDenoiser:
    """A small pyramid; with `trained` its correctors are not 0."""
    torch.manual_seed(seed)
    network = PyramidDenoiser(**SHAPE)
    if trained:
        for corrector in network.correctors:
            torch.nn.init.normal_(corrector.last.weight, std=0.05)  # type: ignore[union-attr, arg-type]
    return network.requires_grad_(False)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A whole prior on disk."""
    write_prior(tmp_path / "mine", CARD, pyramid(trained=True).state_dict())
    return tmp_path / "mine"


def network_of(name_or_path: str) -> Any:
    denoiser: Any = load_prior(name_or_path, device="cpu").denoiser
    return denoiser.network


def photograph() -> Tensor:
    """The middle of a photograph in [0, 1]."""
    image = Image.open(ORIGINALS / "things" / "coffee.png").convert("RGB")
    left, top = (image.width - 128) // 2, (image.height - 128) // 2
    pixels = np.array(image.crop((left, top, left + 128, top + 128)))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255


def psnr(found: Tensor, clean: Tensor) -> float:
    return -10 * math.log10(float((found - clean).square().mean()))


def test_a_written_pyramid_loads_as_the_same_network(directory) -> None:
    prior = load_prior(str(directory), device="cpu")
    assert (prior.name, prior.max_noise, prior.multiple) == ("mine", 1.0, 8)
    x, noise = torch.rand(2, 3, 16, 24), torch.tensor([0.1, 0.9])
    torch.testing.assert_close(network_of(str(directory))(x, noise), pyramid(trained=True)(x, noise))


def test_weights_of_another_shape_than_the_card_states_are_refused(directory) -> None:
    card = (directory / "deqir.json").read_text()
    (directory / "deqir.json").write_text(card.replace('"levels": 3', '"levels": 4'))
    with pytest.raises(PriorError, match="do not fit the architecture its card states"):
        load_prior(str(directory))


def test_noise_beyond_its_range_is_refused(directory) -> None:
    prior = load_prior(str(directory), device="cpu")
    prior.check_noise(prior.max_noise)
    with pytest.raises(PriorError, match="knows noise up to"):
        Restorer(prior, start_noise=1.1 * prior.max_noise)(torch.zeros(1, 3, 4, 4), SuperResolution(scale=4))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (9, 13)])
def test_it_restores_images_of_any_size_from_strong_noise(directory, height, width) -> None:
    restorer = Restorer(load_prior(str(directory), device="cpu"), steps=3, start_noise=1.0)
    found = restorer(torch.zeros(1, 3, height, width), SuperResolution(scale=3)).images
    assert found.shape == (1, 3, 3 * height, 3 * width)
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("noise", [0.01, 0.1, FFDNET_NOISE])
def test_before_training_it_is_exactly_ffdnet_wherever_ffdnet_knows_the_noise(noise) -> None:
    network, x = pyramid(), torch.rand(2, 3, 16, 24)
    sigma = torch.full((2,), noise)
    assert torch.equal(network(x, sigma), network.ffdnet(x, sigma))


@needs_ffdnet
@pytest.mark.ffdnet
@pytest.mark.parametrize(("noise", "gain"), [(0.5, 8.0), (1.0, 10.0), (2.0, 10.0)])
def test_beyond_the_noise_that_ffdnet_knows_it_denoises_far_better_without_training(noise, gain) -> None:
    network, clean = PyramidDenoiser().requires_grad_(False), photograph()
    network.ffdnet.load_state_dict(network_of("ffdnet").state_dict())
    noisy = clean + noise * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    ours = psnr(network(noisy, torch.tensor([noise])).clamp(0, 1), clean)
    theirs = psnr(network.ffdnet(noisy, torch.tensor([FFDNET_NOISE])).clamp(0, 1), clean)
    assert ours > theirs + gain


@pytest.mark.parametrize("noise", [0.05, 0.4, 1.5])
def test_each_scale_denoises_the_pooled_image_with_the_noise_that_pooling_leaves(noise) -> None:
    """The scales below the first have the output of the network without its first scale for the pooled image."""
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
    """The finest FFDNet sees an image with its distance from the estimate scaled to FFDNet's noise."""
    network, seen = pyramid(), list[Tensor]()
    network.ffdnet.model[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    noise = 1.0
    x = 0.5 + noise * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    coarse = network.scales(x, torch.tensor([noise]))[1]
    read = torch.nn.functional.pixel_shuffle(seen[-1][:, :12], 2)
    estimate = torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(read, estimate + FFDNET_NOISE / noise * (x - estimate))
    assert float(seen[-1][:, 12].max()) == pytest.approx(FFDNET_NOISE)
