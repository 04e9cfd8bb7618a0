"""The batch that fills a device, and the window that fills the batch."""

from __future__ import annotations

import pytest
import torch

from deqir import Settings
from deqir.batching import Batch, out_of_memory, saturating
from deqir.windows import Windows

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("idle_until", "found"), [(1, 1), (6, 8), (24, 32), (10**6, 1024)])
def test_the_batch_grows_while_larger_ones_cost_less_for_each_image(idle_until: int, found: int) -> None:
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
    batch = Batch(None)
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
    ("mode", "device", "images", "window"),
    [
        ("auto", GPU, 1, 20),
        ("auto", GPU, 5, 6),
        ("auto", GPU, 40, 1),
        ("auto", CPU, 1, 1),
        ("throughput", GPU, 1, 1),
        ("latency", CPU, 40, 20),
        ("paper", CPU, 1, 20),
        (7, CPU, 40, 7),
        (99, GPU, 1, 20),
    ],
)
def test_the_window_fills_the_batch_where_that_costs_nobody_his_place(
    mode: str, device: torch.device, images: int, window: int
) -> None:
    windows = Windows.of(Settings(steps=20, mode=mode), device)  # type: ignore[arg-type]
    assert windows.wide(32, images) == window
