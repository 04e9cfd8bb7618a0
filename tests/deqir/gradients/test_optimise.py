"""Optimised noise: better in what was asked for, for every image, and still a restoration of y."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from deqir import operators
from deqir.gradients.gradients import chain_states
from deqir.gradients.losses import (
    ColourDistance,
    Loss,
    Misfit,
    PerceptualDistance,
    PixelDistance,
    gaussian_blur,
    guided,
)
from deqir.gradients.optimise import Optimisation, Optimised, Stop, optimise
from deqir.pretrained.lpips import Lpips
from tests.deqir.problems import OPERATORS, Counting, make_sampler, rand
from tests.processes import python
from tests.weights import needs_lpips

GUIDE = 0.5 * rand(2, 3, 8, 12, seed=12)
LOSSES: dict[str, Loss] = {"pixels": PixelDistance(guide=GUIDE), "colour": ColourDistance(guide=GUIDE, blur=1.0)}


def losses(loss: Loss, images: Tensor) -> Tensor:
    return loss(images, torch.arange(len(images)))


def check(result: Optimised, loss: Loss) -> None:
    """What holds whatever was optimised."""
    first, best = losses(loss, result.first), losses(loss, result.images)
    for stats, before, after in zip(result.stats, first.tolist(), best.tolist(), strict=True):
        assert stats.loss_first == pytest.approx(before)
        assert stats.loss_best == pytest.approx(after)
        assert stats.loss_best == min(stats.loss_history)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("variables", ["start", "all"])
@pytest.mark.parametrize("gradient", ["exact", "parallel", "phantom"])
def test_every_image_gets_closer_to_its_guide(name, variables, gradient) -> None:
    sampler, loss = make_sampler(OPERATORS["inpaint"]), LOSSES[name]
    settings = Optimisation(steps=4, variables=variables, gradient=gradient, rounds=3, tolerance=1e-4)
    result = optimise(sampler, loss, settings=settings)
    check(result, loss)
    for stats in result.stats:
        assert stats.loss_best < 0.95 * stats.loss_first


def test_the_result_is_a_restoration_from_plausible_noise(A) -> None:
    """It explains y, comes from the noise that is returned, and that noise has the norms of the one it began with."""
    sampler = make_sampler(A)
    result = optimise(sampler, LOSSES["pixels"], settings=Optimisation(steps=3, variables="all"))
    torch.testing.assert_close(A.pinv(A(result.images)), sampler.pinv_y)
    torch.testing.assert_close(chain_states(replace(sampler, noise=result.noise))[:, -1], result.images)
    torch.testing.assert_close(result.first, chain_states(sampler)[:, -1])
    norms = torch.linalg.vector_norm(result.noise, dim=(2, 3, 4))
    torch.testing.assert_close(norms, torch.linalg.vector_norm(sampler.noise, dim=(2, 3, 4)))


def test_only_the_starts_noise_moves_unless_all_may() -> None:
    sampler = make_sampler(OPERATORS["sr2"])
    result = optimise(sampler, LOSSES["pixels"], settings=Optimisation(steps=2))
    assert bool((result.noise[:, 1:] == sampler.noise[:, 1:]).all())
    assert bool((result.noise[:, 0] != sampler.noise[:, 0]).any())


def test_a_truer_operator_than_the_chains_can_be_told_by_its_misfit() -> None:
    """y was made by one operator, the chain uses another of the same size."""
    keep = torch.rand(8, 12, generator=torch.Generator().manual_seed(5)) > 0.3
    truer, loss_y = operators.Inpainting(keep=keep), 0.5 * rand(2, 3, 8, 12, seed=13)
    loss = Misfit(A=truer, y=truer(loss_y))
    result = optimise(make_sampler(OPERATORS["inpaint"]), loss, settings=Optimisation(steps=5))
    check(result, loss)
    for stats in result.stats:
        assert stats.loss_best < stats.loss_first


def test_a_misfit_that_noise_explains_is_none_and_ends_the_search() -> None:
    A, x = OPERATORS["sr2"], rand(2, 3, 8, 12)
    y = A(x) + 0.1
    rows = torch.arange(2)
    torch.testing.assert_close(Misfit(A=A, y=y)(x, rows), torch.full((2,), 0.01, dtype=torch.float64))
    assert Misfit(A=A, y=y, sigma_y=0.2)(x, rows).tolist() == [0, 0]
    one_in_four = torch.arange(x.shape[-1]).expand(x.shape[-2:]) % 4 == 0
    gaps = operators.Inpainting(keep=one_in_four)
    worse = Misfit(A=gaps, y=gaps(x + 0.3), sigma_y=0.2)(x, rows)
    torch.testing.assert_close(worse, torch.full((2,), (0.3**2 - 0.2**2) / 4, dtype=torch.float64))
    sampler = make_sampler(A)
    result = optimise(sampler, Misfit(A=A, y=A(chain_states(sampler)[:, -1]) + 0.1, sigma_y=0.2))
    assert [stats.stop for stats in result.stats] == [Stop.STALLED] * 2
    assert [stats.nfe for stats in result.stats] == [6, 6]


def test_a_users_function_is_a_loss_and_its_images_are_searched_for_alone() -> None:
    """The second image's loss is flat, so that it leaves at once; the first one's search goes on as if alone."""

    def brightness(x: Tensor, rows: Tensor) -> Tensor:
        return x.square().flatten(1).mean(1) * (rows == 0)

    sampler, settings = make_sampler(OPERATORS["inpaint"]), Optimisation(steps=4)
    both = optimise(sampler, brightness, settings=settings)
    alone = optimise(sampler.take(torch.tensor([0])), brightness, settings=settings)
    assert both.stats[0].loss_history == pytest.approx(alone.stats[0].loss_history)
    torch.testing.assert_close(both.images[:1], alone.images)
    assert both.stats[1].stop is Stop.STALLED
    assert len(both.stats[1].loss_history) == 1


def test_evaluations_and_products_are_those_of_the_network() -> None:
    for gradient in ("exact", "parallel", "phantom"):
        counting = Counting()
        sampler = make_sampler(OPERATORS["sr2"], denoiser=counting)
        settings = Optimisation(steps=3, gradient=gradient, rounds=1)
        stats = optimise(sampler, LOSSES["pixels"], settings=settings).stats
        assert sum(one.evaluations for one in stats) == sum(counting.rows)
        if gradient == "exact":
            assert [one.nfe for one in stats] == [4 * 6 + 3 * 6 * 3] * 2


def test_a_search_without_progress_ends_early_and_keeps_where_it_began() -> None:
    sampler = make_sampler(OPERATORS["sr2"])
    seen = list[int]()

    def rising(x: Tensor, rows: Tensor) -> Tensor:
        seen.append(len(x))
        return x.flatten(1).mean(1) * 0.0 + x.flatten(1)[:, 0] * 1e-9 + len(seen)

    result = optimise(sampler, rising, settings=Optimisation(steps=20, patience=3))
    assert [stats.stop for stats in result.stats] == [Stop.STALLED] * 2
    assert [stats.best for stats in result.stats] == [0, 0]
    assert len(seen) == 4
    torch.testing.assert_close(result.images, result.first)
    torch.testing.assert_close(result.noise, sampler.noise)


def test_a_loss_that_is_not_finite_ends_its_image_alone() -> None:
    def breaks(x: Tensor, rows: Tensor) -> Tensor:
        return torch.where(rows == 0, torch.nan, 1.0) * x.square().flatten(1).mean(1)

    result = optimise(make_sampler(OPERATORS["inpaint"]), breaks, settings=Optimisation(steps=3))
    assert [stats.stop for stats in result.stats] == [Stop.NONFINITE, Stop.STEPS]
    assert result.stats[1].loss_best < result.stats[1].loss_first


def test_it_works_where_a_restoration_runs_in_inference_mode() -> None:
    settings = Optimisation(steps=2)
    wanted = optimise(make_sampler(OPERATORS["sr2"]), LOSSES["pixels"], settings=settings)
    with torch.inference_mode():
        found = optimise(make_sampler(OPERATORS["sr2"]), PixelDistance(guide=GUIDE.clone()), settings=settings)
        torch.testing.assert_close(found.images, wanted.images)


def test_no_steps_is_the_restoration_as_it_was() -> None:
    sampler = make_sampler(OPERATORS["sr2"])
    result = optimise(sampler, LOSSES["pixels"], settings=Optimisation(steps=0))
    torch.testing.assert_close(result.images, chain_states(sampler)[:, -1])
    assert [stats.vjps for stats in result.stats] == [0, 0]


def test_colours_are_compared_without_brightness_and_without_detail() -> None:
    x, rows = rand(1, 3, 32, 32), torch.arange(1)
    loss = ColourDistance(guide=x, blur=2.0)
    assert float(loss(x + 0.3, rows)) == pytest.approx(0, abs=1e-20)
    redder = x + torch.tensor([0.3, 0, 0])[:, None, None]
    checked = x + 0.3 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16) * torch.tensor([1, 0, 0])[:, None, None]
    assert float(loss(redder, rows)) > 0.02
    assert float(loss(checked, rows)) < 1e-3


def test_a_blur_keeps_what_is_flat_and_spreads_a_point_as_a_gaussian() -> None:
    flat = torch.full((1, 1, 9, 7), 0.7, dtype=torch.float64)
    torch.testing.assert_close(gaussian_blur(flat, 2.0), flat)
    point = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    point[..., 20, 20] = 1
    spread = gaussian_blur(point, 3.0)[0, 0]
    place = torch.arange(41, dtype=torch.float64) - 20
    assert float(spread.sum()) == pytest.approx(1)
    assert float((spread.sum(1) * place**2).sum()) == pytest.approx(9, rel=0.05)


def test_guides_are_named_and_what_cannot_be_is_refused() -> None:
    assert isinstance(guided("pixels", GUIDE), PixelDistance)
    assert isinstance(guided("colour", GUIDE), ColourDistance)
    assert isinstance(guided("lpips", rand(1, 3, 32, 32), lpips=Lpips()), PerceptualDistance)
    with pytest.raises(ValueError, match="needs the metric"):
        guided("lpips", GUIDE)
    with pytest.raises(ValueError, match="31 pixels"):
        guided("lpips", GUIDE, lpips=Lpips())
    with pytest.raises(ValueError, match="one value per image"):
        optimise(make_sampler(OPERATORS["sr2"]), lambda x, rows: x.mean())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"steps": -1}, "0 or more"),
        ({"patience": 0}, "patience at least 1"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"tolerance": 0.0}, "above 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, says) -> None:
    with pytest.raises(ValueError, match=says):
        replace(Optimisation(), **settings)


@needs_lpips
@pytest.mark.smoke
def test_the_benchmark_runs_as_documented(tiny_prior, tmp_path) -> None:
    small = ("--photographs", "1", "--steps", "1", "--size", "32", "--prior", tiny_prior, "--out", tmp_path)
    done = python("-m", "benchmarks.optimisation", *small)
    assert done.returncode == 0, done.stderr
    records = json.loads((tmp_path / "optimisation.json").read_text())["records"]
    assert len(records) == 12
    assert all(record["loss"][1] <= record["loss"][0] for record in records)
    assert (tmp_path / "optimisation.md").read_text().count("\n") == 14
