"""The batch that fills a device, and the window that fills the batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deqir import Settings
from deqir.engine.batch_size import BatchSize, saturating, timed_calls
from deqir.engine.windows import Windows
from deqir.hardware.memory import FEW_CALLS, MOST_PIXELS, out_of_memory
from tests.other_device import DEVICE, OURS_ALONE


@pytest.mark.parametrize(("idle_until", "found"), [(1, 1), (6, 8), (24, 32), (10**6, 1024)])
def test_the_batch_grows_while_larger_ones_cost_less_for_each_image(idle_until, found) -> None:
    """A device that takes the same time for anything up to `idle_until` images, then in proportion."""
    assert saturating(lambda size: max(1.0, size / idle_until)) == found


def test_the_batch_ends_where_the_memory_does() -> None:
    def seconds(size: int) -> float:
        if size > 8:
            raise torch.OutOfMemoryError("8 fit")
        return 1.0

    assert saturating(seconds) == 8


def test_another_error_while_measuring_is_not_taken_for_want_of_memory() -> None:
    def seconds(size: int) -> float:
        raise RuntimeError("the network is broken")

    with pytest.raises(RuntimeError, match="broken"):
        saturating(seconds)


def test_a_measured_batch_goes_by_pixels() -> None:
    batch = BatchSize()
    assert not batch.known
    batch.measure((3, 64, 64), lambda size: max(1.0, size / 16))
    assert [batch.of(shape) for shape in ((3, 64, 64), (3, 128, 64), (3, 1024, 1024))] == [16, 8, 1]
    assert batch.halve((3, 64, 64), 16)
    assert batch.of((3, 64, 64)) == 8
    assert not batch.halve((3, 1024, 1024), 1)


def test_what_torch_says_when_memory_runs_out_is_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert out_of_memory(caught.value)
    assert not out_of_memory(RuntimeError("sizes do not match"))


@pytest.mark.parametrize(
    ("mode", "replicas", "images", "window"),
    [
        ("auto", 1, 1, 1),
        ("auto", 1, 40, 1),
        ("auto", 4, 1, 4),
        ("auto", 4, 2, 2),
        ("auto", 4, 3, 1),
        ("auto", 40, 1, 20),
        ("auto", 99, 1, 20),
        ("throughput", 4, 1, 1),
        ("latency", 1, 40, 20),
        ("paper", 1, 1, 20),
        (7, 1, 40, 7),
        (99, 1, 1, 20),
    ],
)
def test_the_window_is_the_one_that_was_asked_for_and_auto_keeps_each_device_busy(
    mode, replicas, images, window
) -> None:
    windows = Windows.of(Settings(steps=20, mode=mode), replicas=replicas)  # type: ignore[arg-type]
    assert windows.of_images(images, batch=32, steps=20) == window


def test_the_window_is_never_wider_than_the_chain_is_long_or_for_several_devices_than_the_batch() -> None:
    assert Windows.of(Settings(steps=20, mode="latency")).of_images(1, batch=32, steps=3) == 3
    assert Windows.of(Settings(steps=20), replicas=8).of_images(1, batch=2, steps=20) == 2


@OURS_ALONE
@pytest.mark.parametrize(("side", "calls"), [(64, FEW_CALLS + 2), (1 + int(MOST_PIXELS**0.5), 2)])
def test_only_calls_that_may_be_recorded_are_made_as_often_as_that_takes(side, calls, monkeypatch) -> None:
    seen = list[int]()

    def denoiser(x_t: Tensor, alpha_bar: Tensor, /) -> Tensor:
        seen.append(len(x_t))
        return x_t

    monkeypatch.setattr("deqir.engine.batch_size.TIMED", 0.0)
    timed_calls(denoiser, (1, side, side), dtype=torch.float32, device=DEVICE)(1)
    assert len(seen) == calls
