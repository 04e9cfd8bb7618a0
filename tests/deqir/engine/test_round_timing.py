"""What an engine finds out about a device that is not the CPU before it solves ahead there."""

from __future__ import annotations

import copy
from typing import Final

import pytest
import torch
from torch import Tensor

from deqir import Engine, Request, Restorer, Result, Settings
from deqir.engine.batch_size import Batch, timed_calls
from deqir.engine.round_timing import Measured
from deqir.hardware.memory import FEW_CALLS, MOST_PIXELS
from deqir.operators import SuperResolution
from tests.deqir.problems import rand, toy_denoiser
from tests.other_device import DEVICE, MEMORY, OURS_ALONE, register

pytestmark = OURS_ALONE
A: Final = SuperResolution(scale=2)


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    register()


def asked(height: int, width: int, n: int = 0) -> Request[int]:
    return Request(y=A(rand(1, 3, height, width, seed=n).float())[0], operator=A, seed=n, tag=n)


def roomy() -> Measured:
    """What is known of a device whose network calls take a second, whatever is in them."""
    batch = Batch(None)
    batch.measure((3, 64, 64), lambda size: 1.0)
    return Measured(batch=batch)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_chains_of_few_steps_are_restored_where_rounds_are_timed(steps: int) -> None:
    y = A(rand(2, 3, 16, 16).float().clamp(-1, 1))
    found = Restorer(toy_denoiser, steps=steps, device=DEVICE)(y, A)
    expected = Restorer(toy_denoiser, steps=steps)(y, A)
    torch.testing.assert_close(found.images.cpu(), expected.images, rtol=0, atol=1e-5)


def test_an_image_beside_which_no_guess_has_room_is_restored_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a scan over four guesses takes more than 128 images do."""
    request, measured, settings = asked(256, 256), roomy(), Settings(steps=4, device=DEVICE)
    (expected,) = Engine(toy_denoiser, Settings(steps=4)).run([request])
    monkeypatch.setattr(MEMORY, "total", MEMORY.used + 48 * 4 * request.y.nbytes)
    (found,) = Engine(toy_denoiser, settings, measured=measured).run([request])
    assert isinstance(found, Result)
    assert isinstance(expected, Result)
    assert found.stats.window == 1
    torch.testing.assert_close(found.image.cpu(), expected.image, rtol=0, atol=1e-5)


def test_what_a_scan_takes_is_told_by_images_of_about_the_same_size() -> None:
    measured = roomy()
    engine = Engine(toy_denoiser, Settings(steps=4, device=DEVICE), measured=measured)
    for n, side in enumerate((16, 18, 20, 128, 130)):
        list(engine.run([asked(side, side, n)]))
    small, large = measured.states.values()
    assert large > 2 * small  # of 50 times as many pixels


def test_a_restorer_finds_out_about_each_device_for_itself() -> None:
    """Its denoiser answers where its argument is."""
    y, restore = A(rand(1, 3, 16, 16).float().clamp(-1, 1)), Restorer(toy_denoiser, steps=3)
    here = restore(y, A)
    batches = []
    for one in (y, y.to(DEVICE), y, y.to(DEVICE)):
        torch.testing.assert_close(restore(one, A).images.cpu(), here.images, rtol=0, atol=1e-5)
        batches.append([measured.batch.timed for measured in restore._measured.values() if measured.batch])
    assert batches == [[False], [False, True], [False, True], [False, True]]


def test_images_of_any_sizes_are_restored_there_as_here_while_their_rounds_are_timed() -> None:
    sizes = [(16, 16), (8, 40), (16, 16), (64, 48), (2, 2), (30, 18), (64, 48)]
    requests = [asked(*size, n=n) for n, size in enumerate(sizes)]
    there, here = (
        {result.tag: result for result in Engine(toy_denoiser, settings, measured=measured).run(requests)}
        for settings, measured in ((Settings(steps=4, device=DEVICE), roomy()), (Settings(steps=4), None))
    )
    assert there.keys() == here.keys() == set(range(len(sizes)))
    for tag, expected in here.items():
        found = there[tag]
        assert isinstance(found, Result)
        assert isinstance(expected, Result)
        torch.testing.assert_close(found.image.cpu(), expected.image, rtol=0, atol=2e-2)  # by guesses, to a tolerance


@pytest.mark.parametrize(("side", "warm"), [(64, FEW_CALLS + 1), (1 + int(MOST_PIXELS**0.5), 1)])
def test_only_calls_that_may_be_recorded_are_made_as_often_as_that_takes(side: int, warm: int) -> None:
    calls = list[int]()

    def denoiser(x_t: Tensor, alpha_bar: Tensor, /) -> Tensor:
        calls.append(len(x_t))
        return x_t

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deqir.engine.batch_size.TIMED", 0.0)
        timed_calls(denoiser, (1, side, side), dtype=torch.float32, device=DEVICE)(1)
    assert len(calls) == warm + 1


def test_nothing_is_kept_of_the_sizes_that_are_met() -> None:
    batch = roomy().batch
    assert batch is not None
    before = copy.deepcopy(vars(batch))
    for width in range(1, 4106):
        assert batch.seconds((3, 1, width), 1) == 1.0
    assert vars(batch) == before
