"""Network calls that are replayed as CUDA graphs are the network's own, whatever came before them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from benchmarks.precisions import tf32
from deqir import Prior, in_half_precision, load_prior, replicate
from deqir.hardware.cuda_graphs import KEPT, GraphedDenoiser
from deqir.hardware.memory import FEW_CALLS, MOST_PIXELS
from deqir.priors import DenoiserPrior, FFDNet
from tests.deqir.problems import Counting

GPU = torch.device("cuda", 0)
pytestmark = pytest.mark.usefixtures("gpu")


def assert_close(found: Tensor, expected: Tensor) -> None:
    """Sums over a batch with more rows may be taken in another order."""
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def graphed_and_plain(network: Callable[[], nn.Module] = FFDNet) -> tuple[GraphedDenoiser, DenoiserPrior]:
    torch.manual_seed(0)
    plain = DenoiserPrior(network().to(GPU).eval().requires_grad_(False), max_noise=75 / 255)
    return GraphedDenoiser(plain), plain


def asked(rows: int, side: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator(GPU).manual_seed(seed)
    x = torch.randn(rows, 3, side, side, device=GPU, generator=generator)
    return x, 0.5 + 0.49 * torch.rand(rows, device=GPU, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_answers_are_the_networks_own_before_and_after_they_are_recorded(mode) -> None:
    graphed, plain = graphed_and_plain()
    with mode():
        for n in range(3 * FEW_CALLS):
            for rows, side in ((1, 32), (3, 48), (5, 32), (7, 32), (16, 32)):
                x, levels = asked(rows, side, seed=n)
                assert_close(graphed(x, levels), plain(x, levels))


def test_an_answer_stays_when_the_next_one_comes() -> None:
    graphed, _ = graphed_and_plain()
    with torch.inference_mode():
        answers = [graphed(*asked(2, 32, seed=n)) for n in range(2 * FEW_CALLS)]
        copies = [answer.clone() for answer in answers]
        graphed(*asked(2, 32, seed=99))
        assert all(torch.equal(answer, copy) for answer, copy in zip(answers, copies, strict=True))
        assert not torch.equal(answers[-1], answers[-2])


def test_calls_are_recorded_after_a_few_and_the_network_is_asked_no_more() -> None:
    counting = Counting(graphed_and_plain()[1])
    graphed = GraphedDenoiser(counting)
    with torch.inference_mode():
        for n in range(FEW_CALLS + 2):
            graphed(*asked(3, 32, seed=n))
        calls = len(counting.rows)
        for n in range(5):
            assert_close(graphed(*asked(3, 32, seed=n)), counting.denoiser(*asked(3, 32, seed=n)))
    assert len(counting.rows) == calls


def test_a_record_of_one_precision_does_not_answer_in_another() -> None:
    graphed, plain = graphed_and_plain()
    with torch.inference_mode():
        for allowed in (False, True, False):
            with tf32(allowed):
                for _ in range(FEW_CALLS + 2):
                    found = graphed(*asked(4, 32))
                assert_close(found, plain(*asked(4, 32)))


def test_more_kinds_than_are_kept_are_all_answered() -> None:
    graphed, plain = graphed_and_plain(lambda: FFDNet(width=8, depth=3))
    with torch.inference_mode():
        for _ in range(2):
            for side in range(8, 8 + 2 * (KEPT + 3), 2):
                x, levels = asked(2, side)
                for _ in range(FEW_CALLS + 2):
                    assert_close(graphed(x, levels), plain(x, levels))


def test_what_is_asked_inside_and_outside_of_inference_mode_and_with_gradients_goes_together() -> None:
    graphed, plain = graphed_and_plain()
    x, levels = asked(2, 32)
    for _ in range(FEW_CALLS + 2):
        with torch.inference_mode():
            graphed(x, levels)
    with torch.no_grad():
        assert_close(graphed(x, levels), plain(x, levels))
    x.requires_grad_()
    (ours,) = torch.autograd.grad(graphed(x, levels).square().sum(), x)
    (theirs,) = torch.autograd.grad(plain(x, levels).square().sum(), x)
    assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_recorded_beside_single(dtype, tiny_prior) -> None:
    prior = load_prior(tiny_prior, device="cuda")
    assert isinstance(prior.denoiser, GraphedDenoiser)
    half, x = in_half_precision(prior, dtype), asked(2, 32)
    with torch.inference_mode():
        for _ in range(FEW_CALLS + 2):
            single, rounded = prior(*x), half(*x)
        first = in_half_precision(load_prior(tiny_prior, device="cuda"), dtype)(*x)
    torch.testing.assert_close(rounded, first, rtol=1e-2, atol=1e-2)
    assert 0 < float((rounded - single).abs().max()) < 0.5


class Asking(nn.Module):
    """A network that waits for the device, which cannot be recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        return image * self.weight * (0.5 if float(noise.max()) > 0 else 0.25)


def test_a_network_that_cannot_be_recorded_answers_as_before() -> None:
    graphed, plain = graphed_and_plain(Asking)
    with torch.inference_mode():
        for n in range(2 * FEW_CALLS):
            x = asked(2, 32, seed=n)
            assert_close(graphed(*x), plain(*x))


def test_large_calls_are_the_networks_own() -> None:
    graphed, plain = graphed_and_plain(lambda: FFDNet(width=8, depth=3))
    side = int(MOST_PIXELS**0.5) + 2
    with torch.inference_mode():
        x = asked(1, side)
        for _ in range(FEW_CALLS + 2):
            assert torch.equal(graphed(*x), plain(*x))


def test_copies_of_a_prior_record_for_themselves(tiny_prior) -> None:
    priors: list[Prior] = [load_prior(tiny_prior, device="cuda") for _ in range(2)]
    both, x = replicate(priors), asked(4, 32)
    with torch.inference_mode():
        for _ in range(FEW_CALLS + 3):
            found = both(*x)
        assert_close(found, load_prior(tiny_prior, device="cuda")(*x))
