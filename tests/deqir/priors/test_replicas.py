"""Several copies of a network share its work: same results, equal shares, at the same time."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from deqir import (
    Engine,
    PriorError,
    ReplicatedDenoiser,
    Request,
    Restorer,
    Settings,
    Tally,
    in_half_precision,
    load_prior,
    replicate,
)
from deqir.operators import SuperResolution
from deqir.priors import Prior
from tests.deqir.problems import Counting, rand, toy_denoiser

CPU = torch.device("cpu")


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 11])
def test_the_rows_are_divided_evenly_and_answered_as_by_one(rows) -> None:
    copies = [Counting() for _ in range(4)]
    x, levels = rand(rows, 3, 8, 8), torch.linspace(0.5, 0.99, rows, dtype=torch.float64)
    answers = ReplicatedDenoiser([(copy, CPU) for copy in copies])(x, levels)
    torch.testing.assert_close(answers, toy_denoiser(x, levels), rtol=0, atol=0)
    shares = [copy.rows[0] for copy in copies if copy.rows]
    assert sum(shares) == rows
    assert max(shares) - min(shares) <= 1
    assert len(shares) == min(4, rows)


def test_the_copies_work_at_the_same_time() -> None:
    """Each waits for all others within its call: one after another they would wait for ever."""
    together = threading.Barrier(3, timeout=30)

    def waits(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        together.wait()
        return toy_denoiser(x_t, alpha_bar)

    x, levels = rand(3, 3, 8, 8), torch.full((3,), 0.9, dtype=torch.float64)
    ReplicatedDenoiser([(waits, CPU)] * 3)(x, levels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_all_copies_of_a_prior_in_half_precision_work_in_it(dtype, tiny_prior) -> None:
    alone = load_prior(tiny_prior, device="cpu")
    three = in_half_precision(replicate([load_prior(tiny_prior, device="cpu") for _ in range(3)]), dtype)
    x, levels = rand(6, 3, 16, 16).float(), torch.linspace(0.8, 0.99, 6, dtype=torch.float64)
    with torch.inference_mode():
        answers = three(x, levels)
        for rows in (slice(0, 2), slice(2, 4), slice(4, 6)):  # of each copy
            torch.testing.assert_close(answers[rows], in_half_precision(alone, dtype)(x[rows], levels[rows]))
            assert not torch.equal(answers[rows], alone(x[rows], levels[rows]))


@pytest.mark.parametrize(
    "mode", [torch.inference_mode(), torch.no_grad(), torch.enable_grad(), torch.autocast("cpu", torch.bfloat16)]
)
def test_the_copies_have_the_modes_of_the_caller(mode) -> None:
    def modes() -> tuple[bool, bool, bool]:
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")

    seen = list[tuple[bool, bool, bool]]()

    def looking(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        seen.append(modes())
        return toy_denoiser(x_t, alpha_bar)

    with mode:
        ReplicatedDenoiser([(looking, CPU)] * 3)(rand(3, 3, 8, 8), torch.full((3,), 0.9, dtype=torch.float64))
        assert seen == [modes()] * 3


@pytest.mark.parametrize("broken", [0, 2])
def test_the_error_of_a_copy_is_raised_when_all_have_ended(broken) -> None:
    copies = [Counting() for _ in range(3)]

    def fails(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("this device is full")

    denoisers = [(fails if n == broken else copy, CPU) for n, copy in enumerate(copies)]
    with pytest.raises(torch.OutOfMemoryError, match="this device"):
        ReplicatedDenoiser(denoisers)(rand(3, 3, 8, 8), torch.full((3,), 0.9, dtype=torch.float64))
    assert [len(copy.rows) for n, copy in enumerate(copies) if n != broken] == [1, 1]


def test_one_image_on_four_replicas_needs_fewer_rounds_and_is_the_same(tiny_prior) -> None:
    alone = load_prior(tiny_prior, device="cpu")
    four = replicate([load_prior(tiny_prior, device="cpu") for _ in range(4)])
    A = SuperResolution(scale=2)
    y = A(rand(1, 3, 16, 16).clamp(-1, 1).float())
    settings = Settings(steps=8, tolerance=1e-4)
    tallies, images = list[Tally](), list[Tensor]()
    for prior in (alone, four):
        tally, request = Tally(), Request(y=y[0], operator=A, seed=5, tag="only")
        (result,) = Engine(prior, settings).run([request], tally=tally)
        tallies.append(tally)
        images.append(result.image)  # type: ignore[union-attr]
    assert tallies[0].rounds == 8
    assert tallies[1].rounds < 8
    assert tallies[1].calls == tallies[1].rounds  # window 4: as many states as there are replicas
    torch.testing.assert_close(images[1], images[0], rtol=0, atol=1e-3)  # the tolerance of the solve


def test_many_images_on_replicas_are_those_of_one(tiny_prior) -> None:
    A = SuperResolution(scale=2)
    y = A(rand(6, 3, 16, 16).clamp(-1, 1).float())
    alone = Restorer(load_prior(tiny_prior, device="cpu"), steps=4)
    spread = replace(alone, prior=replicate([load_prior(tiny_prior, device="cpu") for _ in range(2)]))
    torch.testing.assert_close(spread(y, A).images, alone(y, A).images, rtol=0, atol=1e-5)


def test_copies_that_are_not_the_same_prior_are_refused(tiny_prior) -> None:
    prior: Prior = load_prior(tiny_prior, device="cpu")
    with pytest.raises(PriorError, match="copies of prior 'tiny' differ"):
        replicate([prior, replace(prior, digest="0" * 64)])
    with pytest.raises(ValueError, match="at least one copy"):
        ReplicatedDenoiser([])
