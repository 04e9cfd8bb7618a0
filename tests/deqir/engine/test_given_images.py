"""What the front door takes: the precision and the channels of y, and what comes out of it."""

from __future__ import annotations

import pytest
import torch

from deqir import Prior, PriorError, Restorer
from deqir.given import checked
from deqir.operators import Colorization, Denoising, Inpainting, SuperResolution, masks
from deqir.sampling.noise import chain_noise
from tests.deqir.priors.starters.starting import prior_with
from tests.deqir.problems import rand, toy_denoiser

TWICE = SuperResolution(scale=2)


@pytest.fixture
def prior() -> Prior:
    return prior_with(None)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_prior_is_given_single_precision_whatever_y_comes_in(prior, dtype) -> None:
    y = rand(2, 3, 8, 8).to(dtype)
    found, wanted = (Restorer(prior, steps=2)(one, TWICE, seeds=(1, 2)) for one in (y, y.float()))
    assert found.images.dtype == torch.float32
    assert torch.equal(found.images, wanted.images)
    start = rand(2, 3, 16, 16).to(dtype)
    found, wanted = (Restorer(prior, steps=2)(y, TWICE, seeds=(1, 2), start=one) for one in (start, start.float()))
    assert torch.equal(found.images, wanted.images)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_bytes_are_refused_with_what_turns_them_into_an_image(prior, dtype) -> None:
    y = torch.ones(1, 3, 8, 8, dtype=dtype)
    with pytest.raises(ValueError, match=r"y holds torch\.\w+, images are numbers in \[-1, 1\]; .* y / 127.5 - 1"):
        checked(y, TWICE, prior)


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (1, 3, 0, 8)])
def test_no_image_is_refused(prior, shape) -> None:
    with pytest.raises(ValueError, match="y holds no image"):
        Restorer(prior)(torch.zeros(shape), TWICE)


@pytest.mark.parametrize(("channels", "said"), [(1, "channels alike: y.expand"), (2, "have 2"), (4, "have 4")])
def test_other_channels_than_the_prior_knows_are_refused(prior, channels, said) -> None:
    with pytest.raises(ValueError, match=f"restores images of 3 channels.*{said}"):
        Restorer(prior)(rand(1, channels, 8, 8).float(), TWICE)


def test_a_grey_image_that_is_to_be_coloured_has_the_channels_of_what_comes_out(prior) -> None:
    assert Restorer(prior, steps=2)(rand(1, 1, 8, 8).float(), Colorization()).images.shape == (1, 3, 8, 8)


def test_images_that_come_out_can_be_changed_and_learnt_from(prior) -> None:
    restored = Restorer(prior, steps=2)(rand(1, 3, 8, 8).float(), TWICE)
    weight = torch.ones(1, requires_grad=True)
    (restored.images * weight).sum().backward()  # type: ignore[no-untyped-call]
    restored.images.clamp_(-1, 1)
    restored.start.clamp_(-1, 1)


def test_noise_does_not_depend_on_what_torch_makes_by_default() -> None:
    wanted = chain_noise([3], (3, 4, 4), 2, dtype=torch.float32, device=torch.device("cpu"))
    torch.set_default_dtype(torch.float64)
    try:
        found = chain_noise([3], (3, 4, 4), 2, dtype=torch.float32, device=torch.device("cpu"))
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("A", [Inpainting(keep=masks.random(8, 8, lost=0.5)), TWICE])
def test_what_y_holds_in_a_gap_is_no_measurement(A) -> None:
    """Only where A makes gaps: elsewhere all of y is one."""
    x = rand(1, 3, 8, 8).clamp(-1, 1)
    y, gaps = A(x), A(torch.ones_like(x)) == 0
    painted = torch.where(gaps, 1.0, y)
    restorer = Restorer(toy_denoiser, steps=3, start_noise=0.2)
    found, wanted = (restorer(one, A, seeds=(1,)).stats[0].data_consistency for one in (painted, y))
    assert found == pytest.approx(wanted, abs=1e-12)
    assert wanted < 1e-6


def test_an_image_that_is_mid_grey_all_over_is_measured_against_rounding() -> None:
    restorer = Restorer(toy_denoiser, steps=3, start_noise=0.2)
    assert restorer(torch.zeros(1, 3, 8, 8, dtype=torch.float64), TWICE).stats[0].data_consistency < 1e-6


def test_denoising_starts_with_as_much_noise_as_there_is_or_as_the_prior_knows(prior) -> None:
    y = rand(1, 3, 16, 16).float()
    told = Restorer(prior, steps=2)(y, Denoising(start_noise=0.25), sigma_y=0.5, seeds=(1,))
    found = Restorer(prior, steps=2)(y, Denoising(), sigma_y=0.5, seeds=(1,))
    assert torch.equal(found.images, told.images)
    most = Restorer(prior, steps=2)(y, Denoising(start_noise=0.3), sigma_y=0.8, seeds=(1,))
    found = Restorer(prior, steps=2)(y, Denoising(), sigma_y=0.8, seeds=(1,))
    assert torch.equal(found.images, most.images)
    with pytest.raises(PriorError, match=r"knows noise up to 0.300 .* start at 0.400"):
        Restorer(prior)(y, Denoising(start_noise=0.4), sigma_y=0.8)
