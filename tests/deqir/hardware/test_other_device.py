"""All of `deqir` on a device other than the CPU: the CPU's images, nothing in two places, one wait a round.

See `tests.other_device` for CUDA's stand-in and its limits. The tests show: a round waits once, for the residuals of
all its images, and sends nothing. An image waits once more at its end, for A x_0 - y (by the published algorithm three
times), and at its start as often as its operator's start asks the device something (`ASKED_AT_START`); it sends y and a
given start, each once and from pinned memory, and its noise is drawn there. A run sends its levels and weights once. A
solve by `Picard` or `Anderson` waits once a round, a search for noise twice an iterate and once a round of its solves.
`MatrixFree` and `FramedDeblurring` wait inside of each A^+, every eighth iteration.

`from_deepinv` needs a library that is not here; it makes a `MatrixFree`. Half precision is the device's own.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import pytest
import torch
from torch import Tensor, nn

from deqir import (
    Engine,
    Failed,
    GaussianPrior,
    Prior,
    Request,
    Restorer,
    Settings,
    Tally,
    check_operator,
    estimation,
    in_half_precision,
    load_prior,
    metrics,
    operators,
    replicate,
)
from deqir.fixed_point.solvers import Anderson, Picard
from deqir.gradients.gradients import chain_states, exact_adjoint, parallel_adjoint, phantom_gradient
from deqir.gradients.losses import GuideName
from deqir.hardware.devices import STAGED, sent
from deqir.linalg.dct import analyse
from deqir.operators import FramedDeblurring, SuperResolution, masks
from deqir.pretrained.lpips import Lpips
from deqir.pretrained.real_esrgan import RealEsrgan
from deqir.protocols import Iterative
from deqir.sampling.samples import Samples
from tests.conformance.examples import ONE_SIDED
from tests.deqir.priors.starters.starting import starters
from tests.deqir.problems import OPERATORS, make_sampler, rand, toy_denoiser
from tests.deqir.restorations import (
    ALL,
    ASKED_AT_START,
    HOWS,
    NETWORKS,
    RESTORATIONS,
    SKILLS,
    STARTED,
    How,
    T,
    asked,
    how,
    in_iterations,
    moved,
    twins,
    waits_of,
)
from tests.deqir.searches import search, solve
from tests.other_device import (
    CALLED,
    DEVICE,
    MEMORY,
    OURS_ALONE,
    SECOND,
    OtherTensor,
    Traffic,
    register,
    traffic,
)

pytestmark = OURS_ALONE
CPU: Final = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    register()
    analyse(torch.zeros(1, 1, 8, 8, dtype=torch.float64, device=DEVICE))  # kept for all


@pytest.fixture(scope="module")
def priors(tiny_prior: str) -> dict[torch.device, Prior]:
    """The same small network on each device."""
    return {device: load_prior(tiny_prior, device=str(device)) for device in (CPU, DEVICE, SECOND)}


def run(requests: list[Request[int]], settings: Settings, device: torch.device) -> tuple[list[Tensor], int, Traffic]:
    """The images on their device, their number of rounds, and the requests to the device."""
    tally, images = Tally(), dict[int, Tensor]()
    with traffic() as counted:
        for result in Engine(toy_denoiser, replace(settings, device=device)).run(requests, tally=tally):
            assert not isinstance(result, Failed)
            assert (result.image.device, result.start.device) == (device, device)
            images[result.tag] = result.image
    return [images[tag] for tag in sorted(images)], tally.rounds, counted


def compare(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "way"), RESTORATIONS)
def test_every_operator_restores_there_what_it_does_here_and_waits_once_a_round(name: str, way: str) -> None:
    (A, shape), how = ALL[name], HOWS[way]
    requests = asked(A, shape, how)
    expected, _, _ = run(requests, how.settings, CPU)
    y = requests[0].y[None].to(DEVICE)
    A(A.start(y))  # operators keep what they have sent
    found, rounds, counted = run(requests, how.settings, DEVICE)
    compare(found, expected)
    waits = [wait for wait in counted.waits if not in_iterations(wait)]
    assert len(waits) == waits_of(name, way, rounds)
    assert isinstance(A, Iterative) or len(waits) == len(counted.waits)
    edges = 2 if name == "deblur-framed" and not how.given else 0
    assert len(counted.streamed) == 2 + how.images * (1 + how.given + edges)
    assert not counted.uploads


@pytest.mark.parametrize("name", ALL)
def test_every_method_of_an_operator_stays_where_its_tensor_is(name: str) -> None:
    A, shape = ALL[name]
    there, here = (check_operator(A, shape, tolerance=2e-2, device=device) for device in (DEVICE, CPU))
    assert there.start_misfit == pytest.approx(here.start_misfit, abs=1e-6)


def test_iterations_are_looked_at_every_eighth_and_end_as_they_do_here() -> None:
    A, shape = FramedDeblurring(kernel=ONE_SIDED, tolerance=5e-3), (3, 12, 14)
    y = A(rand(2, *shape)) * torch.tensor([1.0, 0.3], dtype=torch.float64)[:, None, None, None]
    expected, far_y = A.solve(y), y.to(DEVICE)
    A.solve(far_y)
    with traffic() as counted:
        found = A.solve(far_y)
    torch.testing.assert_close(found.x.cpu(), expected.x)
    assert found.iterations.tolist() == expected.iterations.tolist()
    most = int(expected.iterations.max())
    assert 8 < most < A.max_iterations
    assert len(counted.waits) == 1 + math.ceil(most / 8)


def test_the_chain_of_one_image_is_made_where_the_arithmetic_runs() -> None:
    (request,) = asked(*ALL["sr2"], HOWS["noisy, latency"])
    here, far = (Engine(toy_denoiser, how("auto", device=device)).sampler(request) for device in (CPU, DEVICE))
    assert {far.start.device, far.pinv_y.device, far.noise.device} == {DEVICE}
    torch.testing.assert_close(far.end(far.initial()).cpu(), here.end(here.initial()))


@pytest.mark.parametrize("mode", ["throughput", 2, "latency"])
@pytest.mark.parametrize("tile", [None, 8])
def test_images_of_several_shapes_and_operators_share_the_device(mode: str | int, tile: int | None) -> None:
    requests = list[Request[int]]()
    for n, name in enumerate(("sr2", "inpaint", "colorize", "sr2", "deblur-framed", "colorize", "bicubic3x1")):
        A, shape = ALL[name]
        (one,) = asked(A, shape, How(settings=how(mode)))
        requests.append(replace(one, tag=n, seed=n))
    settings = how(mode, tile=tile, overlap=4 if tile else None)
    expected, _, _ = run(requests, settings, CPU)
    found, rounds, counted = run(requests, settings, DEVICE)
    compare(found, expected)
    starts = ASKED_AT_START["inpaint"]
    assert len([wait for wait in counted.waits if not in_iterations(wait)]) == rounds + len(requests) + starts


@pytest.mark.parametrize("y_there", [False, True])
def test_a_loaded_prior_restores_where_it_is_and_answers_where_y_was(
    y_there: bool, priors: dict[torch.device, Prior]
) -> None:
    A, images = SuperResolution(scale=2), 3
    y = A(rand(images, 3, 32, 32).float().clamp(-1, 1))
    expected = Restorer(priors[CPU], steps=T, denoiser_batch=8, mode="latency")(y, A)
    y = y.to(DEVICE) if y_there else y
    Restorer(priors[DEVICE], steps=T, denoiser_batch=8, mode="latency")(y, A)
    with traffic() as counted:
        found = Restorer(priors[DEVICE], steps=T, denoiser_batch=8, mode="latency")(y, A)
    assert found.images.device == found.start.device == y.device
    torch.testing.assert_close(found.images.cpu(), expected.images, rtol=0, atol=1e-5)
    assert not counted.uploads
    questions = [wait for wait in counted.waits if " round.py:" not in wait]
    # y is finite, each image's content for its seed, each misfit; or each misfit, images and starts brought back
    assert len(questions) == (1 + 2 * images if y_there else images + 2)


@pytest.mark.parametrize("name", STARTED)
def test_a_prior_that_makes_starts_makes_them_there(name: str, priors: dict[torch.device, Prior]) -> None:
    A, shape, sigma_y, asked_at_start = STARTED[name]
    networks, far_networks = twins(lambda: starters(SKILLS), DEVICE)
    here, far = replace(priors[CPU], starters=networks), replace(priors[DEVICE], starters=far_networks)
    y = A(rand(2, *shape).float().clamp(-1, 1))
    expected = Restorer(here, steps=T, denoiser_batch=8)(y, A, sigma_y=sigma_y)
    restore = Restorer(far, steps=T, denoiser_batch=8, mode="throughput")
    restore(y, A, sigma_y=sigma_y)  # what is sent once is there now
    with traffic() as counted:
        found = restore(y, A, sigma_y=sigma_y)
    torch.testing.assert_close(found.images, expected.images, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.start, expected.start, rtol=0, atol=1e-5)
    assert len(counted.waits) == T + 2 * (asked_at_start + 1) + 2  # rounds, misfits, images and starts brought back
    assert not counted.uploads


@pytest.mark.parametrize("size", [(32, 48), (70, 90), (5, 7)])
def test_networks_answer_on_their_device_where_y_is_not(size: tuple[int, int]) -> None:
    networks, far_networks = twins(lambda: starters(SKILLS), DEVICE)
    keep = masks.random(*size, lost=0.3)
    grey = rand(1, 1, *size).float().clamp(-1, 1)
    for A, y in ((operators.Inpainting(keep=keep), grey * keep), (operators.Colorization(), grey)):
        expected, found = networks.start(A, y, 0.1), far_networks.start(A, y, 0.1)
        assert expected is not None
        assert found is not None
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_the_batch_is_measured_on_the_device(
    priors: dict[torch.device, Prior], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MEMORY, "total", MEMORY.used + 2**21)
    CALLED.clear()
    A = SuperResolution(scale=2)
    y = A(rand(2, 3, 32, 32).float())
    found = Restorer(priors[DEVICE], steps=2)(y, A)
    assert CALLED.count("synchronize") >= 6
    torch.testing.assert_close(found.images, Restorer(priors[CPU], steps=2)(y, A).images, rtol=0, atol=1e-5)


def test_a_batch_that_does_not_fit_there_is_halved(
    priors: dict[torch.device, Prior], monkeypatch: pytest.MonkeyPatch
) -> None:
    A, tally = SuperResolution(scale=2), Tally()
    requests = [Request(y=A(rand(1, 3, 32, 32, seed=n).float())[0], operator=A, seed=n, tag=n) for n in range(8)]
    monkeypatch.setattr(MEMORY, "total", MEMORY.used + 2**20)
    CALLED.clear()
    results = list(Engine(priors[DEVICE], Settings(steps=2, denoiser_batch=8)).run(requests, tally=tally))
    assert not [result for result in results if isinstance(result, Failed)]
    assert tally.halvings
    assert set(CALLED) == {"empty_cache"}
    assert len(CALLED) == tally.halvings


def test_copies_on_two_devices_share_the_work(priors: dict[torch.device, Prior]) -> None:
    A = SuperResolution(scale=2)
    y = A(rand(2, 3, 32, 32).float())
    both = replicate([priors[DEVICE], priors[SECOND]])
    found = Restorer(both, steps=T, denoiser_batch=4, mode="latency")(y, A)
    expected = Restorer(priors[CPU], steps=T, denoiser_batch=4, mode="latency")(y, A)
    torch.testing.assert_close(found.images, expected.images, rtol=0, atol=1e-5)
    half = Restorer(in_half_precision(both, torch.bfloat16), steps=T, denoiser_batch=4)(y, A)
    torch.testing.assert_close(half.images, expected.images, rtol=0, atol=0.1)


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_kind_of_prior_answers_there_without_being_waited_for(kind: str) -> None:
    make, prior = NETWORKS[kind]
    here, there = twins(make, DEVICE)
    x, levels = rand(3, 3, 16, 16).float(), torch.tensor([0.4, 0.9, 0.999], dtype=torch.float64)
    on_device, x_there, levels_there = prior(there), x.to(DEVICE), levels.to(DEVICE)
    with torch.inference_mode():
        on_device(x_there, levels_there)
        with traffic() as counted:
            found = on_device(x_there, levels_there)
        torch.testing.assert_close(found.cpu(), prior(here)(x, levels), rtol=1e-4, atol=1e-5)
    assert counted == Traffic()


def test_a_gaussian_answers_there() -> None:
    spread = rand(12, 12)
    mean, covariance = rand(3, 2, 2, seed=1), spread @ spread.mT
    x, levels = rand(2, 3, 2, 2, seed=2), torch.tensor([0.4, 0.9], dtype=torch.float64)
    found = GaussianPrior(mean.to(DEVICE), covariance.to(DEVICE))(x.to(DEVICE), levels.to(DEVICE))
    torch.testing.assert_close(found.cpu(), GaussianPrior(mean, covariance)(x, levels))


def test_gradients_are_the_same_there() -> None:
    here = make_sampler(OPERATORS["inpaint"], images=3)
    states, end = chain_states(here), rand(*here.start.shape, seed=5)
    far, far_states, far_end = moved(here, DEVICE), states.to(DEVICE), end.to(DEVICE)
    for function, once_a_round in ((exact_adjoint, False), (phantom_gradient, False), (parallel_adjoint, True)):
        expected = function(here, states, end)
        with traffic() as counted:
            found = function(far, far_states, far_end)
        torch.testing.assert_close(found.noise.cpu(), expected.noise)
        assert found.rounds == expected.rounds
        assert len(counted.waits) == (max(found.rounds) if once_a_round else 0)
        assert len(counted.streamed) + len(counted.uploads) <= 2 + len(end)  # levels, weights, who is left


@pytest.mark.parametrize("gradient", ["exact", "parallel", "phantom"])
@pytest.mark.parametrize("name", ["pixels", "colour", "lpips"])
def test_noise_is_optimised_there(name: GuideName, gradient: str) -> None:
    expected, search_there = search(name, gradient, DEVICE)
    with traffic() as counted:
        found = search_there()
    torch.testing.assert_close(found.images.cpu(), expected.images, rtol=0, atol=1e-5)
    assert not counted.uploads
    in_search = [wait for wait in counted.waits if "solvers.py" not in wait]
    assert len(in_search) == 2 + 2 + 1  # losses and gradients of two iterates, losses of the last


@pytest.mark.parametrize("solver", [Picard(tol=1e-4), Anderson(tol=1e-4), Anderson(tol=1e-4, safeguard=False)])
def test_a_solver_waits_once_a_round_also_where_elements_leave(solver: Picard | Anderson) -> None:
    expected, solve_there = solve(solver, DEVICE)
    with traffic() as counted:
        found = solve_there()
    torch.testing.assert_close(found.value.cpu(), expected.value, equal_nan=True)
    assert (found.rounds.tolist(), found.outcome) == (expected.rounds.tolist(), expected.outcome)
    assert len(set(found.rounds.tolist())) > 2
    assert len(counted.waits) == max(found.rounds.tolist())
    assert not counted.uploads


def test_what_measures_and_enlarges_images_does_so_there() -> None:
    a, b = rand(2, 3, 40, 40).float(), rand(2, 3, 40, 40, seed=1).float()
    far_a, far_b = a.to(DEVICE), b.to(DEVICE)
    lpips, far_lpips = twins(Lpips, DEVICE)
    enlarger, far_enlarger = twins(lambda: RealEsrgan(width=8, growth=4, blocks=1), DEVICE)
    far_enlarger.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    y, size = a[..., :20, :24].clamp(-1, 1), (70, 96)
    pairs = [
        (metrics.psnr(a, b), metrics.psnr(far_a, far_b)),
        (metrics.ssim(a, b), metrics.ssim(far_a, far_b)),
        (lpips(a, b), far_lpips(far_a, far_b)),
        (Samples(images=a).spread, Samples(images=far_a).spread),
        (Samples(images=a).mean, Samples(images=far_a).mean),
        (enlarger.enlarged(y, size), far_enlarger.enlarged(y.to(DEVICE), size)),
    ]
    for expected, found in pairs:
        assert found.device == DEVICE
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)
    where_y_is = far_enlarger.enlarged(y, size)
    assert where_y_is.device == CPU
    torch.testing.assert_close(where_y_is, pairs[-1][0], rtol=1e-4, atol=1e-5)


def test_estimates_are_made_of_images_from_there() -> None:
    smooth = nn.functional.interpolate(rand(1, 3, 40, 40).float(), (160, 160), mode="bicubic").clamp(-0.9, 0.9)[0]
    image = smooth + 0.02 * rand(3, 160, 160, seed=3).float()
    far = image.to(DEVICE)
    for estimate in (
        estimation.estimate_blur,
        estimation.estimate_noise,
        estimation.estimate_jpeg,
        estimation.estimate_upscaling,
    ):
        assert estimate(far) == estimate(image)
    assert estimation.check_fit(far, SuperResolution(scale=2)) == estimation.check_fit(image, SuperResolution(scale=2))
    here, found = estimation.propose_damage(image), estimation.propose_damage(far)
    assert (here is None) == (found is None)


def test_what_is_sent_goes_through_pinned_memory_unless_it_is_much() -> None:
    little, much = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(STAGED // 4 + 1)
    with traffic() as counted:
        pieces = [sent(little, DEVICE), sent(little.mT, DEVICE, torch.float64), sent(little[:1].expand(4, -1), DEVICE)]
    assert (len(counted.streamed), counted.uploads, counted.waits) == (3, [], [])
    for piece, original in zip(pieces, (little, little.mT.double(), little[:1].expand(4, -1)), strict=True):
        assert isinstance(piece, OtherTensor)
        torch.testing.assert_close(piece.cpu(), original, rtol=0, atol=0)
    with traffic() as counted:
        sent(much, DEVICE)
    assert (len(counted.uploads), counted.streamed) == (1, [])
    assert sent(pieces[0], DEVICE) is pieces[0]
    assert sent(little, CPU) is little
