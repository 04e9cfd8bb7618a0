"""The batch that fills a device, and the window that fills the batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from deqir import Chain, Request, Settings
from deqir.engine.batch_size import Batch, saturating
from deqir.engine.round_timing import seconds_a_state
from deqir.engine.windows import RUNGS, Windows, rounds
from deqir.fixed_point.surrogates import Secant
from deqir.hardware.memory import out_of_memory
from deqir.operators import SuperResolution

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
    assert windows.wide(32, images, steps=20) == window


def test_the_window_is_never_wider_than_the_chain_is_long() -> None:
    assert Windows.of(Settings(steps=20, mode="auto"), GPU).wide(32, 1, steps=3) == 3


@pytest.mark.parametrize(
    ("network", "scan", "window"),
    [
        (lambda evaluations: 1.0, 0.0, 16),  # all that a batch holds at the price of one
        (lambda evaluations: float(evaluations), 0.0, 1),  # a device that is busy with one
        (lambda evaluations: max(1.0, evaluations / 4), 0.0, 4),
        (lambda evaluations: 1.0, 1.0, 1),  # what guesses cost beside the network eats what they save
    ],
)
def test_auto_solves_ahead_only_where_that_ends_sooner(
    network: Callable[[int], float], scan: float, window: int
) -> None:
    def pace(images: int, window: int) -> float:
        return network(images * window) + images * window * scan

    assert Windows.of(Settings(steps=20, mode="auto"), GPU).wide(16, 1, 20, pace) == window


def test_a_window_that_was_asked_for_is_taken_whatever_it_costs() -> None:
    assert Windows.of(Settings(steps=20, mode="latency"), GPU).wide(16, 1, 20, lambda images, window: window) == 20


@pytest.mark.parametrize("steps", [2, 5, 20, 100])
def test_rounds_are_never_more_than_steps_and_fall_with_the_window(steps: int) -> None:
    expected = [rounds(steps, window) for window in RUNGS if window <= steps]
    assert expected[0] == steps
    assert expected == sorted(expected, reverse=True)


def test_times_of_calls_that_were_not_timed_follow_from_those_that_were() -> None:
    batch = Batch(None)
    assert not batch.timed
    batch.measure((3, 64, 64), lambda size: max(1.0, size / 16))
    assert batch.timed
    assert batch.seconds((3, 64, 64), 3) == 1.0
    assert batch.seconds((3, 64, 64), 24) == pytest.approx(1.5)
    assert batch.seconds((3, 128, 128), 16) == pytest.approx(4.0)
    assert batch.seconds((3, 32, 32), 1) == 1.0


def test_what_a_state_of_a_round_costs_is_timed_without_the_network() -> None:
    A, chain = SuperResolution(scale=4), Chain.between(0.2, 0.02, steps=6, eta=0.9)
    request = Request(y=torch.full((3, 4, 4), torch.nan), operator=A, seed=0, tag=0)  # what y holds does not matter
    assert 0 < seconds_a_state(request, chain, Secant(), device=CPU) < 10
