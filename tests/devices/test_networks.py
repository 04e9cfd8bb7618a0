"""On another device every kind of prior gives the CPU's answers, in single precision, and nearly so in less.

Answers in single precision may differ by 1e-4 of their size, sums of a thousand terms being taken in another order.
What the networks that come with deqir make of images may be off by 1e-3 of [-1, 1], an eighth of a grey level, in any
pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
import torch
from torch import nn

from benchmarks.precisions import tf32, unrecorded
from deqir import (
    GaussianPrior,
    Prior,
    Restoration,
    Restorer,
    estimation,
    in_half_precision,
    load_prior,
    metrics,
    operators,
    replicate,
)
from deqir.hardware.devices import STAGED, sent
from deqir.operators import SuperResolution, masks
from deqir.pretrained.lpips import Lpips
from deqir.pretrained.real_esrgan import RealEsrgan
from deqir.protocols import LinearOperator
from deqir.sampling.samples import Samples
from tests.deqir.priors.starters.starting import starters
from tests.deqir.problems import rand
from tests.deqir.restorations import NETWORKS, SKILLS, STARTED, T, twins
from tests.devices.waits import of_rounds, waited
from tests.other_device import SECOND, OtherTensor, Traffic

GREY_LEVELS: Final = 127.5


def apart(device: torch.device, on_a_gpu: float) -> float:
    """Largest difference to the CPU; the stand-in takes the CPU's sums."""
    return on_a_gpu if device.type == "cuda" else 1e-5


@pytest.fixture(scope="module")
def here(tiny_prior: str) -> Prior:
    return load_prior(tiny_prior, device="cpu")


@pytest.fixture(scope="module")
def there(tiny_prior: str, device: torch.device) -> Prior:
    """By the name that users give, which has no number: "cuda"."""
    return load_prior(tiny_prior, device=device.type if device.index == 0 else str(device))


@pytest.fixture(scope="module")
def bundled(device: torch.device) -> tuple[Prior, Prior]:
    """The prior that comes with deqir, here and on a GPU; the stand-in would take a minute."""
    if device.type != "cuda":
        pytest.skip("only a GPU has this")
    return load_prior("bundled", device="cpu"), load_prior("bundled", device=str(device))


def picture(height: int, width: int) -> torch.Tensor:
    """Smooth shapes with edges, in [-1, 1]."""
    coarse = nn.functional.interpolate(rand(1, 3, 6, 9).float(), (height, width), mode="bicubic")
    return (coarse + (coarse > 0.5)).clamp(-1, 1)


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_kind_of_prior_answers_there_without_being_waited_for(kind, device) -> None:
    if "unet" in kind:
        pytest.importorskip("diffusers")
    make, prior = NETWORKS[kind]
    near, far = twins(make, device)
    x, levels = rand(3, 3, 16, 16).float(), torch.tensor([0.4, 0.9, 0.999], dtype=torch.float64)
    on_device, x_there, levels_there = prior(far), x.to(device), levels.to(device)
    with torch.inference_mode():
        on_device(x_there, levels_there)
        with waited(device) as asked:
            found = on_device(x_there, levels_there)
        torch.testing.assert_close(found.cpu(), prior(near)(x, levels), rtol=1e-4, atol=apart(device, 1e-4))
    assert asked == Traffic()


@pytest.mark.parametrize(("dtype", "apart"), [(torch.float16, 0.01), (torch.bfloat16, 0.08)])
@pytest.mark.parametrize("kind", NETWORKS)
def test_every_kind_of_prior_answers_in_half_precision(kind, dtype, apart, gpu, here) -> None:
    """Noise of 1 is predicted to so much, RMS; at a level where images are as strong as noise."""
    if "unet" in kind:
        pytest.importorskip("diffusers")
    make, prior = NETWORKS[kind]
    near, far = twins(make, gpu)
    x, levels = rand(3, 3, 16, 16).float(), torch.tensor([0.5, 0.6, 0.7], dtype=torch.float64)
    half = in_half_precision(replace(here, denoiser=prior(far), device=gpu), dtype)
    with torch.inference_mode():
        found = half(x.to(gpu), levels.to(gpu))
        assert found.dtype == torch.float32
        assert float((found.cpu() - prior(near)(x, levels)).square().mean().sqrt()) < apart


def test_a_gaussian_answers_there(device) -> None:
    spread = rand(12, 12)
    mean, covariance = rand(3, 2, 2, seed=1), spread @ spread.mT
    x, levels = rand(2, 3, 2, 2, seed=2), torch.tensor([0.4, 0.9], dtype=torch.float64)
    found = GaussianPrior(mean.to(device), covariance.to(device))(x.to(device), levels.to(device))
    torch.testing.assert_close(found.cpu(), GaussianPrior(mean, covariance)(x, levels))


@pytest.mark.parametrize("mode", ["throughput", "auto", "latency"])
@pytest.mark.parametrize("y_there", [False, True])
def test_a_loaded_prior_restores_there_again_and_again(y_there, mode, here, there, device) -> None:
    """Whatever the engine prepares for calls that recur."""
    A = SuperResolution(scale=2)
    y = A(rand(3, 3, 32, 32).float().clamp(-1, 1))
    expected = Restorer(here, steps=T, denoiser_batch=8, mode="throughput")(y, A)
    far_y = y.to(device) if y_there else y
    restore = Restorer(there, steps=T, denoiser_batch=8, mode=mode)  # type: ignore[arg-type]
    for _ in range(5):
        with waited(device) as asked:
            found = restore(far_y, A)
        assert found.images.device == found.start.device == far_y.device
        torch.testing.assert_close(found.images.cpu(), expected.images, rtol=0, atol=2e-4)
    if device.type != "cuda":
        assert not asked.uploads
        questions = [wait for wait in of_rounds(asked.waits) if "round.py" not in wait]
        # y is finite and in range, each image's content for its seed, each misfit; or misfits, and what is brought back
        assert len(questions) == (2 + 2 * len(y) if y_there else len(y) + 2)


@pytest.mark.parametrize("name", STARTED)
def test_networks_that_make_starts_make_them_there(name, here, there, device) -> None:
    A, shape, sigma_y, asked_at_start = STARTED[name]
    networks, far_networks = twins(lambda: starters(SKILLS), device)
    y = A(rand(2, *shape).float().clamp(-1, 1))
    expected = Restorer(replace(here, starters=networks), steps=T, denoiser_batch=8)(y, A, sigma_y=sigma_y)
    prior = replace(unrecorded(there), starters=far_networks)
    far = Restorer(prior, steps=T, denoiser_batch=8, mode="throughput")
    far(y, A, sigma_y=sigma_y)  # what is sent once is there now
    with waited(device) as asked:
        found = far(y, A, sigma_y=sigma_y)
    torch.testing.assert_close(found.start, expected.start, rtol=0, atol=apart(device, 1e-3))
    torch.testing.assert_close(found.images, expected.images, rtol=0, atol=apart(device, 1e-3))
    assert not asked.uploads
    assert len(of_rounds(asked.waits)) == T + 2 * (asked_at_start + 1) + 2, (
        asked
    )  # rounds, misfits, images and starts brought back


@pytest.mark.parametrize("size", [(32, 48), (70, 90), (5, 7)])
def test_networks_answer_on_their_device_where_y_is_not(size, device) -> None:
    networks, far_networks = twins(lambda: starters(SKILLS), device)
    grey = rand(1, 1, *size).float().clamp(-1, 1)
    keep = masks.random(*size, lost=0.3)
    for A, y in ((operators.Inpainting(keep=keep), grey * keep), (operators.Colorization(), grey)):
        expected, found = networks.make_start(A, y, 0.1), far_networks.make_start(A, y, 0.1)
        assert expected is not None
        assert found is not None
        torch.testing.assert_close(found, expected, rtol=0, atol=apart(device, 1e-3))


TASKS: Final[dict[str, tuple[LinearOperator, int, int]]] = {
    "enlarged": (SuperResolution(scale=4), 64, 96),
    "filled": (operators.Inpainting(keep=masks.random(48, 56, lost=0.3)), 48, 56),
    "coloured": (operators.Colorization(), 64, 64),
}


@pytest.mark.parametrize("task", TASKS)
def test_the_bundled_prior_restores_there_what_it_does_here(task, bundled) -> None:
    near, far = bundled
    A, height, width = TASKS[task]
    assert near.makes_start(A)
    y = A(picture(height, width))
    expected, found = Restorer(near)(y, A), Restorer(far, mode="throughput")(y, A)
    torch.testing.assert_close(found.start, expected.start, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.images, expected.images, rtol=0, atol=1e-3)
    assert float((expected.images - expected.start).abs().max()) > 1e-3


FEWER_BITS: Final[dict[str, tuple[Callable[[Prior], Prior], float]]] = {
    "TF32": (unrecorded, 0.5),
    "float16": (lambda prior: in_half_precision(prior, torch.float16), 0.5),
    "bfloat16": (lambda prior: in_half_precision(prior, torch.bfloat16), 2.0),
}
"""And how far twenty steps of FFDNet may end from those in single precision, RMS of 255 grey levels."""


@pytest.mark.parametrize("bits", FEWER_BITS)
def test_with_fewer_bits_restorations_stay_near(bits, gpu, bundled) -> None:
    A = SuperResolution(scale=4)
    chain, far_chain = (replace(prior, starters=None) for prior in bundled)
    y = A(picture(64, 64))
    expected = Restorer(chain)(y, A)
    change, most = FEWER_BITS[bits]
    with tf32(bits == "TF32"):
        found = Restorer(change(far_chain), mode="throughput")(y, A)
    assert 0 < rms(found, expected) < most
    assert max(stats.data_consistency for stats in found.stats) < 1e-4  # steps are in single precision still


def rms(found: Restoration, expected: Restoration) -> float:
    """In grey levels."""
    return float((found.images - expected.images).square().mean().sqrt()) * GREY_LEVELS


def test_two_copies_share_the_work(here, there, device, tiny_prior) -> None:
    """On the same GPU, or on two devices of the stand-in."""
    A = SuperResolution(scale=2)
    y = A(rand(2, 3, 32, 32).float())
    both = replicate([there, load_prior(tiny_prior, device=str(device if device.type == "cuda" else SECOND))])
    expected = Restorer(here, steps=T, denoiser_batch=4, mode="latency")(y, A)
    for _ in range(3):
        found = Restorer(both, steps=T, denoiser_batch=4, mode="latency")(y, A)
        torch.testing.assert_close(found.images, expected.images, rtol=0, atol=apart(device, 2e-4))
    half = Restorer(in_half_precision(both, torch.bfloat16), steps=T, denoiser_batch=4)(y, A)
    torch.testing.assert_close(half.images, expected.images, rtol=0, atol=0.1)


def test_what_measures_and_enlarges_images_does_so_there(device) -> None:
    a, b = rand(2, 3, 40, 40).float(), rand(2, 3, 40, 40, seed=1).float()
    far_a, far_b = a.to(device), b.to(device)
    lpips, far_lpips = twins(Lpips, device)
    enlarger, far_enlarger = twins(lambda: RealEsrgan(width=8, growth=4, blocks=1), device)
    far_enlarger.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    y, size = a[..., :20, :24].clamp(-1, 1), (70, 96)
    for expected, found in (
        (metrics.psnr(a, b), metrics.psnr(far_a, far_b)),
        (metrics.ssim(a, b), metrics.ssim(far_a, far_b)),
        (lpips(a, b), far_lpips(far_a, far_b)),
        (Samples(images=a).spread, Samples(images=far_a).spread),
        (Samples(images=a).mean, Samples(images=far_a).mean),
        (enlarger.enlarged(y, size), far_enlarger.enlarged(y.to(device), size)),
    ):
        assert found.device == device
        torch.testing.assert_close(found.cpu(), expected, rtol=10 * apart(device, 1e-4), atol=apart(device, 1e-4))
    where_y_is = far_enlarger.enlarged(y, size)
    assert where_y_is.device == y.device
    torch.testing.assert_close(where_y_is, enlarger.enlarged(y, size), rtol=1e-3, atol=apart(device, 1e-4))


def test_estimates_are_made_of_images_from_there(device) -> None:
    smooth = nn.functional.interpolate(rand(1, 3, 40, 40).float(), (160, 160), mode="bicubic").clamp(-0.9, 0.9)[0]
    image = smooth + 0.02 * rand(3, 160, 160, seed=3).float()
    for estimate in (estimation.estimate_blur, estimation.estimate_noise, estimation.estimate_jpeg):
        assert estimate(image.to(device)) == estimate(image)


def test_all_estimates_are_the_cpus(stand_in) -> None:
    smooth = nn.functional.interpolate(rand(1, 3, 40, 40).float(), (160, 160), mode="bicubic").clamp(-0.9, 0.9)[0]
    image = smooth + 0.02 * rand(3, 160, 160, seed=3).float()
    far, A = image.to(stand_in), SuperResolution(scale=2)
    assert estimation.estimate_upscaling(far) == estimation.estimate_upscaling(image)
    assert estimation.check_fit(far, A) == estimation.check_fit(image, A)
    here, found = estimation.propose_damage(image), estimation.propose_damage(far)
    assert (here is None) == (found is None)


def test_tensors_are_sent_through_pinned_memory_unless_they_are_large(stand_in) -> None:
    little, much = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(STAGED // 4 + 1)
    parts = [(little, None), (little.mT, torch.float64), (little[:1].expand(4, -1), None)]
    with waited(stand_in) as asked:
        pieces = [sent(part, stand_in, dtype) for part, dtype in parts]
    assert (len(asked.streamed), asked.uploads, asked.waits) == (3, [], [])
    for piece, (part, dtype) in zip(pieces, parts, strict=True):
        assert isinstance(piece, OtherTensor)
        torch.testing.assert_close(piece.cpu(), part.to(dtype), rtol=0, atol=0)
    with waited(stand_in) as asked:
        sent(much, stand_in)
    assert (len(asked.uploads), asked.streamed) == (1, [])
    assert sent(pieces[0], stand_in) is pieces[0]
    assert sent(little, torch.device("cpu")) is little
