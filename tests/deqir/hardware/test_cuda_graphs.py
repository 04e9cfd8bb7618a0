"""The choice of calls for CUDA graphs, as far as a CPU can show it; tests/devices has the rest."""

from __future__ import annotations

import copy
import pickle

import torch
from hypothesis import given
from hypothesis import strategies as st

from deqir import load_prior
from deqir.hardware.cuda_graphs import GraphedDenoiser, recordable, rows_of
from deqir.priors.prior import captured
from tests.deqir.problems import rand, toy_denoiser


@given(st.integers(1, 4096))
def test_a_record_has_room_for_its_rows_and_few_more(rows) -> None:
    assert rows <= rows_of(rows) <= max(rows, 5 * rows / 4)
    assert rows_of(rows_of(rows)) == rows_of(rows)


def test_there_are_few_kinds_of_records() -> None:
    assert len({rows_of(rows) for rows in range(1, 65)}) == 20


def test_a_prior_on_the_cpu_is_left_as_it_is(tiny_prior) -> None:
    prior = load_prior(tiny_prior, device="cpu")
    assert captured(prior) is prior
    assert not isinstance(prior.denoiser, GraphedDenoiser)


def test_calls_on_another_device_are_the_networks_own() -> None:
    x, level = rand(2, 3, 4, 4), torch.tensor([0.5, 0.9], dtype=torch.float64)
    with torch.inference_mode():
        assert not recordable(x)
        graphed = GraphedDenoiser(toy_denoiser)
        for _ in range(20):
            assert torch.equal(graphed(x, level), toy_denoiser(x, level))


def test_a_copy_and_what_is_sent_to_another_process_begin_without_records() -> None:
    graphed = GraphedDenoiser(toy_denoiser)
    x, level = rand(2, 3, 4, 4), torch.tensor([0.5, 0.9], dtype=torch.float64)
    for twin in (copy.deepcopy(graphed), pickle.loads(pickle.dumps(graphed))):
        assert isinstance(twin, GraphedDenoiser)
        assert torch.equal(twin(x, level), toy_denoiser(x, level))
