"""The batch is measured on the device, and halved when memory runs out, which it is made to do here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
import torch

from deqir import Engine, Failed, Prior, Request, Restorer, Result, Settings, Tally, in_half_precision, load_prior
from deqir.engine.batch_size import LARGEST, BatchSize, timed_calls
from deqir.operators import SuperResolution
from deqir.priors import FFDNet, PriorCard, write_prior
from deqir.settings import Mode
from tests.deqir.problems import rand, toy_denoiser
from tests.other_device import CALLED, MEMORY

MIB: Final = 2**20
SIDE: Final = 128


@pytest.fixture(scope="module")
def priors(tmp_path_factory: pytest.TempPathFactory, device: torch.device) -> tuple[Prior, Prior]:
    """A wide network of few layers, here and there: an image of 128 x 128 takes 3 MiB of features a layer."""
    torch.manual_seed(0)
    shape = {"channels": 3, "width": 192, "depth": 3}
    card = PriorCard(name="wide", kind="denoiser", sha256="", max_noise=75 / 255, architecture=shape)
    directory = tmp_path_factory.mktemp("priors") / "wide"
    write_prior(directory, card, FFDNet(**shape).state_dict())
    return load_prior(str(directory), device="cpu"), load_prior(str(directory), device=str(device))


@pytest.fixture(scope="module")
def small(tiny_prior: str, device: torch.device) -> tuple[Prior, Prior]:
    """A network that answers in a millisecond, here and there."""
    return load_prior(tiny_prior, device="cpu"), load_prior(tiny_prior, device=str(device))


@contextmanager
def only(more: int, device: torch.device) -> Iterator[None]:
    """Let this process take so many bytes of the GPU on top of those that its tensors take now."""
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(device) + more) / total, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
        torch.cuda.empty_cache()


def asked(images: int) -> tuple[list[Request[int]], SuperResolution]:
    A = SuperResolution(scale=4)
    y = A(rand(images, 3, SIDE, SIDE).float().clamp(-1, 1))
    return [Request(y=one, operator=A, seed=n, tag=n) for n, one in enumerate(y)], A


def images_of(engine: Engine, requests: list[Request[int]], tally: Tally) -> torch.Tensor:
    found = {one.tag: one.image.cpu() for one in engine.run(requests, tally=tally) if isinstance(one, Result)}
    assert sorted(found) == list(range(len(requests)))
    return torch.stack([found[tag] for tag in sorted(found)])


def test_a_batch_is_measured_and_is_one_that_the_gpu_holds(priors, gpu) -> None:
    _, prior = priors
    shape = (3, SIDE, SIDE)

    def measured() -> int:
        batch = BatchSize()
        with torch.inference_mode():
            batch.measure(shape, timed_calls(prior, shape, dtype=torch.float32, device=gpu))
        return batch.of(shape)

    roomy = measured()
    with only(64 * MIB, gpu):
        narrow = measured()
        with torch.inference_mode():
            prior(torch.zeros(narrow, *shape, device=gpu), torch.full((narrow,), 0.9, dtype=torch.float64, device=gpu))
    assert 1 <= roomy <= LARGEST
    assert 1 <= narrow <= 16  # of 32 the features of one layer alone take 96 MiB


def test_what_is_restored_in_a_measured_batch_is_the_cpus(priors, gpu) -> None:
    here, there = priors
    requests, A = asked(3)
    y = torch.stack([request.y for request in requests])
    expected = Restorer(here, steps=2, mode="throughput")(y, A)
    modes: tuple[Mode, ...] = ("throughput", "auto")
    for mode in modes:
        found = Restorer(there, steps=2, mode=mode)(y, A)
        torch.testing.assert_close(found.images, expected.images, rtol=0, atol=5e-4)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("mode", ["throughput", "latency"])
def test_a_batch_that_does_not_fit_is_halved_and_all_images_are_restored(mode, half, priors, gpu) -> None:
    here, there = priors
    requests, _ = asked(24)
    expected = images_of(Engine(here, Settings(steps=2, mode="throughput")), requests, Tally())
    tally = Tally()
    with only(96 * MIB, gpu):
        prior = in_half_precision(there) if half else there
        found = images_of(Engine(prior, Settings(steps=2, mode=mode, denoiser_batch=256)), requests, tally)
    assert tally.halvings or half
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05 if half else 5e-4)


def test_an_image_that_never_fits_fails_alone(priors, gpu) -> None:
    """Of two, the other is restored; tiles are not to help, the noise of its chain is too much by itself."""
    _, there = priors
    small, _ = asked(1)
    A = SuperResolution(scale=4)
    large = Request(y=torch.zeros(3, 512, 512), operator=A, seed=1, tag=1)
    with only(96 * MIB, gpu):
        results = {one.tag: one for one in Engine(there, Settings(steps=2)).run([*small, large])}
    assert isinstance(results[0], Result)
    assert not isinstance(results[1], Result)
    again = {one.tag: one for one in Engine(there, Settings(steps=2)).run(small)}
    assert isinstance(again[0], Result)  # and the GPU goes on


def test_the_batch_is_measured_once_and_images_are_the_cpus(small, stand_in, monkeypatch) -> None:
    here, there = small
    monkeypatch.setattr(MEMORY, "total", MEMORY.used + 2**21)
    CALLED.clear()
    A = SuperResolution(scale=2)
    y = A(rand(2, 3, 32, 32).float())
    found = Restorer(there, steps=2)(y, A)
    assert CALLED.count("synchronize") >= 6
    torch.testing.assert_close(found.images, Restorer(here, steps=2)(y, A).images, rtol=0, atol=1e-5)


def test_a_batch_that_does_not_fit_is_halved_and_the_cache_emptied(small, stand_in, monkeypatch) -> None:
    A, tally = SuperResolution(scale=2), Tally()
    requests = [Request(y=A(rand(1, 3, 32, 32, seed=n).float())[0], operator=A, seed=n, tag=n) for n in range(8)]
    monkeypatch.setattr(MEMORY, "total", MEMORY.used + 2**20)
    CALLED.clear()
    results = list(Engine(small[1], Settings(steps=2, denoiser_batch=8)).run(requests, tally=tally))
    assert not [result for result in results if isinstance(result, Failed)]
    assert tally.halvings
    assert ["empty_cache"] * tally.halvings == CALLED


def test_a_restorer_measures_the_batch_on_each_device_for_itself(stand_in) -> None:
    """Its denoiser answers where its argument is."""
    A = SuperResolution(scale=2)
    y, restore = A(rand(1, 3, 16, 16).float().clamp(-1, 1)), Restorer(toy_denoiser, steps=3)
    here, times = restore(y, A), list[int]()
    for one in (y, y.to(stand_in), y, y.to(stand_in)):
        CALLED.clear()
        torch.testing.assert_close(restore(one, A).images.cpu(), here.images, rtol=0, atol=1e-5)
        times.append(CALLED.count("synchronize"))
    assert times[1] > 0
    assert times[0] == times[2] == times[3] == 0


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_chains_of_few_steps_are_restored_in_a_measured_batch(steps, device) -> None:
    A = SuperResolution(scale=2)
    y = A(rand(2, 3, 16, 16).float().clamp(-1, 1))
    found = Restorer(toy_denoiser, steps=steps, device=device)(y, A)
    torch.testing.assert_close(found.images.cpu(), Restorer(toy_denoiser, steps=steps)(y, A).images, rtol=0, atol=1e-5)


def test_images_of_any_sizes_are_restored_in_a_measured_batch(device) -> None:
    A, sizes = SuperResolution(scale=2), [(16, 16), (8, 40), (16, 16), (64, 48), (2, 2), (30, 18), (64, 48)]
    requests = [
        Request(y=A(rand(1, 3, *size, seed=n).float())[0], operator=A, seed=n, tag=n) for n, size in enumerate(sizes)
    ]
    there, here = (
        {result.tag: result for result in Engine(toy_denoiser, settings).run(requests)}
        for settings in (Settings(steps=4, device=device), Settings(steps=4))
    )
    assert there.keys() == here.keys() == set(range(len(sizes)))
    for tag, expected in here.items():
        found = there[tag]
        assert isinstance(found, Result)
        assert isinstance(expected, Result)
        torch.testing.assert_close(found.image.cpu(), expected.image, rtol=0, atol=2e-4)
