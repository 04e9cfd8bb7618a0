"""Network calls that are recorded as CUDA graphs answer as the network does, and do not ask it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from benchmarks.networks import ffdnet, question
from benchmarks.precisions import tf32, unrecorded
from deqir import Prior, in_half_precision
from deqir.batching import FEW_CALLS
from deqir.priors.prior import captured
from deqir.protocols import Denoiser

pytestmark = pytest.mark.gpu
SIDE = 32


class Counting:
    """A denoiser that counts its calls."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser, self.calls = denoiser, 0

    def __call__(self, x_t: Tensor, alpha_bar: Tensor, /) -> Tensor:
        self.calls += 1
        return self.denoiser(x_t, alpha_bar)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.fixture
def prior(gpu: torch.device) -> Prior:
    with torch.inference_mode(False):
        return unrecorded(ffdnet(gpu))


@pytest.mark.parametrize("half", [None, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 2, 5, 7, 16])
def test_a_recorded_call_answers_as_the_network_to_whatever_it_is_asked(
    rows: int, half: torch.dtype | None, prior: Prior
) -> None:
    recorded = captured(prior)
    if half is not None:
        prior, recorded = in_half_precision(prior, half), in_half_precision(recorded, half)
    apart = 1e-4 if half is None else 0.05
    for _ in range(FEW_CALLS + 4):
        x, levels = question(prior.device, rows, SIDE)
        levels = levels * torch.rand_like(levels)
        torch.testing.assert_close(recorded(x, levels), prior(x, levels), rtol=0, atol=apart)


def test_calls_are_recorded_after_a_few_and_the_network_is_asked_no_more(prior: Prior) -> None:
    counting = Counting(prior.denoiser)
    recorded = captured(replace(prior, denoiser=counting))
    asked = question(prior.device, 3, SIDE)
    for _ in range(FEW_CALLS + 2):
        recorded(*asked)
    calls = counting.calls
    answers = [recorded(*asked) for _ in range(5)]
    assert counting.calls == calls
    for answer in answers:  # none of them is written over by a later one
        torch.testing.assert_close(answer, prior(*asked), rtol=0, atol=1e-4)


def test_a_record_of_one_precision_does_not_answer_in_another(prior: Prior) -> None:
    recorded = captured(prior)
    asked = question(prior.device, 4, SIDE)
    for allowed in (False, True, False):
        with tf32(allowed):
            for _ in range(FEW_CALLS + 2):
                found = recorded(*asked)
            torch.testing.assert_close(found, prior(*asked), rtol=0, atol=1e-4)


def test_a_call_of_which_gradients_are_asked_has_them(prior: Prior) -> None:
    recorded = captured(prior)
    asked = question(prior.device, 2, SIDE)
    for _ in range(FEW_CALLS + 2):
        recorded(*asked)
    with torch.inference_mode(False), torch.enable_grad():
        x, levels = (part.clone() for part in asked)
        x.requires_grad_()
        (slope,) = torch.autograd.grad(recorded(x, levels).square().sum(), x)
    assert bool(slope.isfinite().all())
    assert float(slope.abs().max()) > 0
