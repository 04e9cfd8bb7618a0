"""The front door: what it promises about results, counts and outcomes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from deqir import Outcome, PriorError, Restorer, load_prior
from deqir.operators import Colorization, SuperResolution
from deqir.protocols import LinearOperator
from tests.deqir.problems import HEIGHT, WIDTH, Counting, rand, toy_denoiser
from tests.processes import python

MODES = ["throughput", "latency"]


def observations(A: LinearOperator, images: int = 3) -> Tensor:
    return A(rand(images, 3, HEIGHT, WIDTH).clamp(-1, 1))


@pytest.mark.parametrize("mode", MODES)
def test_an_image_does_not_depend_on_its_batch_or_its_place(A, mode) -> None:
    y = observations(A)
    restorer = Restorer(toy_denoiser, steps=5, mode=mode, start_noise=0.2)  # type: ignore[arg-type]
    together, turned = restorer(y, A, seed=7), restorer(y.flip(0), A, seed=7)
    torch.testing.assert_close(together.images, turned.images.flip(0))
    for b in range(len(y)):
        alone = restorer(y[b : b + 1], A, seed=7)
        torch.testing.assert_close(alone.images[0], together.images[b])
        assert alone.stats[0].rounds == together.stats[b].rounds
        assert alone.stats[0].nfe == together.stats[b].nfe


def test_both_modes_give_the_same_image(A) -> None:
    y = observations(A)
    step_by_step = Restorer(toy_denoiser, steps=6, mode="throughput", start_noise=0.2)
    at_once = replace(step_by_step, mode="latency", tolerance=1e-10)
    torch.testing.assert_close(at_once(y, A).images, step_by_step(y, A).images)


@pytest.mark.parametrize("mode", [*MODES, "paper"])
@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 0.0])
def test_counted_evaluations_are_those_that_the_network_saw(mode, tolerance) -> None:
    A, counting = SuperResolution(scale=2), Counting()
    restorer = Restorer(
        counting,
        steps=5,
        mode=mode,  # type: ignore[arg-type]
        tolerance=tolerance,
        start_noise=0.2,
        denoiser_batch=5,
    )
    stats = restorer(observations(A, 1), A).stats[0]
    assert (len(counting.rows), sum(counting.rows)) == (stats.rounds, stats.nfe)
    assert stats.rounds <= 5


def test_an_image_that_runs_out_of_rounds_is_finished_step_by_step_and_flagged(A) -> None:
    y = observations(A)
    sequential = Restorer(toy_denoiser, steps=6, mode="throughput", start_noise=0.2)
    hurried = replace(sequential, mode="latency", tolerance=1e-12, max_rounds=2)
    found = hurried(y, A)
    torch.testing.assert_close(found.images, sequential(y, A).images)
    for stats in found.stats:
        assert (stats.outcome, stats.fallback, stats.converged) == (Outcome.MAX_ROUNDS, True, False)
        assert (stats.rounds, stats.nfe) == (6, 6 + 5 + 4)
        assert len(stats.residual_history) == 2


def test_only_the_late_images_of_a_batch_fall_back() -> None:
    """For the grey image the denoiser says what the chain starts from, so that the first round is the last."""
    A = SuperResolution(scale=2)

    def denoiser(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        a = alpha_bar[:, None, None, None]
        grey = x_t.flatten(1).std(1)[:, None, None, None] < 1e-3
        return torch.where(grey, (x_t - a.sqrt() * 0.5) / (1 - a).sqrt(), toy_denoiser(x_t, alpha_bar))

    y = torch.stack([torch.full((3, 4, 6), 0.5, dtype=torch.float64), rand(3, 4, 6)])
    restorer = Restorer(
        denoiser, steps=6, eta=0.0, start_noise=1e-4, end_noise=1e-5, mode="latency", tolerance=1e-9, max_rounds=2
    )
    stats = restorer(y, A).stats
    assert [(one.converged, one.fallback) for one in stats] == [(True, False), (False, True)]
    assert [one.rounds for one in stats] == [1, 6]
    assert [one.nfe for one in stats] == [6, 6 + 5 + 4]


def test_histories_tell_how_the_solve_went() -> None:
    A = SuperResolution(scale=2)
    stats = Restorer(toy_denoiser, steps=8, mode="latency", tolerance=1e-4, start_noise=0.2)(observations(A), A).stats
    for one in stats:
        assert len(one.residual_history) == len(one.frontier_history) == one.rounds
        assert one.residual_final == one.residual_history[-1] <= 1e-4
        assert list(one.frontier_history) == sorted(one.frontier_history)
        assert one.frontier_history[-1] == one.window == 8


@pytest.mark.parametrize("mode", [*MODES, "paper"])
def test_a_network_that_breaks_on_one_image_ends_that_image_alone(mode) -> None:
    A = SuperResolution(scale=2)
    y = rand(3, 3, 4, 6).clamp(-1, 1)
    y[1] = 0.9

    def breaks(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        bright = x_t.flatten(1).mean(1) > 0.6
        return torch.where(bright[:, None, None, None], torch.nan, toy_denoiser(x_t, alpha_bar))

    found = Restorer(breaks, steps=4, mode=mode, start_noise=0.05)(y, A)  # type: ignore[arg-type]
    broken = [stats.outcome is Outcome.NONFINITE for stats in found.stats]
    assert broken == [False, True, False]
    assert bool(torch.isfinite(found.images[[0, 2]]).all())


def test_the_restored_image_explains_the_data(A) -> None:
    y = observations(A)
    found = Restorer(toy_denoiser, steps=4, start_noise=0.2)(y, A)
    torch.testing.assert_close(A(found.images), y)
    assert max(stats.data_consistency for stats in found.stats) < 1e-12
    torch.testing.assert_close(A(found.start), y)


def test_another_seed_gives_another_image_that_explains_the_data_too() -> None:
    A = SuperResolution(scale=2)
    y, restorer = observations(A), Restorer(toy_denoiser, steps=4, start_noise=0.2)
    one, other = restorer(y, A, seed=1).images, restorer(y, A, seed=2).images
    assert float((one - other).abs().max()) > 1e-3
    torch.testing.assert_close(A(one), A(other))


def test_calls_that_cannot_be_answered_say_why(tiny_prior) -> None:
    A = SuperResolution(scale=2)
    y = observations(A).float()
    with pytest.raises(ValueError, match="one seed per image"):
        Restorer(toy_denoiser)(y, A, seeds=[1])
    with pytest.raises(ValueError, match="nan or inf"):
        Restorer(toy_denoiser)(y * float("nan"), A)
    with pytest.raises(PriorError, match=r"knows noise up to 0\.294"):
        Restorer(load_prior(tiny_prior), start_noise=0.5)(y, A)
    with pytest.raises(ValueError, match="start holds nan or inf"):
        Restorer(toy_denoiser)(y, A, start=torch.full((3, 3, HEIGHT, WIDTH), torch.nan))


def test_settings_out_of_range_are_refused() -> None:
    for tolerance in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="tolerance must be at least 0, got"):
            Restorer(toy_denoiser, tolerance=tolerance)
    with pytest.raises(ValueError, match="max_rounds must be at least 1 or None, got 0"):
        Restorer(toy_denoiser, max_rounds=0)
    with pytest.raises(ValueError, match="denoiser_batch must be at least 1 or None, got 0"):
        Restorer(toy_denoiser, denoiser_batch=0)


UNTYPED = """
import numpy, torch, deqir
A, denoiser = deqir.operators.SuperResolution(scale=2), lambda x, a: x
for said, mistake in {
    "y[None]": lambda: deqir.Restorer(denoiser)(torch.zeros(3, 8, 8), A),
    "auto, throughput, latency, paper, got 'fast'": lambda: deqir.Restorer(denoiser, mode="fast"),
    "eps, data, wiener, secant, got 'newton'": lambda: deqir.Restorer(denoiser, surrogate="newton"),
    "start / 127.5 - 1": lambda: deqir.Restorer(denoiser)(
        torch.zeros(1, 3, 8, 8), A, start=torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    ),
}.items():
    try:
        mistake()
    except ValueError as error:
        assert said in str(error), error
    else:
        raise SystemExit(f"no word about {said}")

y, restorer = torch.zeros(2, 3, 8, 8), deqir.Restorer(denoiser, steps=3)
def restored(seeds, sigma_y):
    return restorer(y, A, seeds=seeds, sigma_y=sigma_y).images
for seeds in (numpy.array([4, 5]), torch.tensor([4, 5])):
    assert torch.equal(restored(seeds, numpy.array([0.1, 0.2])), restored([4, 5], [0.1, 0.2]))
    assert torch.equal(restored(seeds, numpy.float32(0.5)), restored([4, 5], 0.5))
"""


def test_mistakes_are_named_in_words_and_arrays_taken_where_nothing_checks_types_at_run_time() -> None:
    done = python("-c", UNTYPED)
    assert done.returncode == 0, done.stderr


def test_a_loaded_prior_restores_in_single_precision_any_size(tiny_prior) -> None:
    """Odd sides are padded for the network and cropped again."""
    restorer = Restorer(load_prior(tiny_prior, device="cpu"), steps=3)
    for shape in ((1, 3, 1, 1), (2, 3, 5, 7)):
        A = SuperResolution(scale=3)
        found = restorer(torch.zeros(shape), A)
        assert found.images.shape[-2:] == (shape[2] * 3, shape[3] * 3)
        assert found.images.dtype == torch.float32
    grey = restorer(torch.zeros(1, 1, 3, 5), Colorization(), seed=1)
    assert grey.images.shape == (1, 3, 3, 5)
