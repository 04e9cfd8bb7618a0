"""Schedules and chains: ends, monotony, the published numbers."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from deqir import Chain, NoiseSchedule
from deqir.sampling.schedule import alpha_bar_of, sigma_of


def test_the_linear_schedule_is_the_published_one() -> None:
    """diffusers computes it in float32 and counts from the first noisy level."""
    published = DDPMScheduler(num_train_timesteps=1000).alphas_cumprod
    ours = NoiseSchedule.linear().alpha_bar
    assert float(ours[0]) == 1
    torch.testing.assert_close(ours[1:].float(), published, rtol=2e-4, atol=0)


def test_sigma_and_alpha_bar_are_each_others_inverse() -> None:
    alpha_bar = NoiseSchedule.linear().alpha_bar
    torch.testing.assert_close(alpha_bar_of(sigma_of(alpha_bar)), alpha_bar)


def test_the_real_valued_timestep_of_a_level_is_the_index_it_came_from() -> None:
    schedule = NoiseSchedule.linear()
    t = torch.tensor([1, 2, 500, 999, 1000])
    torch.testing.assert_close(schedule.t_of(schedule.alpha_bar[t]), t.double())
    between = (schedule.sigma[10] * schedule.sigma[11]).sqrt()
    torch.testing.assert_close(schedule.t_of(alpha_bar_of(between)[None]), torch.tensor([10.5], dtype=torch.float64))


@pytest.mark.parametrize("alpha_bar", [[1.0], [0.9, 0.5], [1.0, 0.5, 0.5], [1.0, 0.0]])
def test_levels_that_do_not_fall_from_one_are_refused(alpha_bar) -> None:
    with pytest.raises(ValueError, match="fall strictly"):
        NoiseSchedule(torch.tensor(alpha_bar, dtype=torch.float64))


@given(st.integers(1, 60), st.floats(0, 1), st.floats(0.05, 5), st.sampled_from(["geometric", "linear"]))
def test_a_chain_keeps_the_noise_level_whatever_eta(steps, eta, start, spacing) -> None:
    """c1^2 + c2^2 is the variance of the noise that position i + 1 must hold."""
    chain = Chain.between(start, 6 / 255, steps=steps, eta=eta, spacing=spacing)  # type: ignore[arg-type]
    assert chain.steps == steps
    torch.testing.assert_close(chain.c1**2 + chain.c2**2, 1 - chain.alpha_bar[1:])
    torch.testing.assert_close(float(chain.sigma[0]), 2 * start)  # [-1, 1] is twice as wide as [0, 1]
    if steps > 1:
        torch.testing.assert_close(float(chain.sigma[-2]), 2 * 6 / 255)


def test_the_two_spacings_are_geometric_and_linear() -> None:
    for spacing, differences in (("geometric", lambda s: s.log().diff()), ("linear", lambda s: s.diff())):
        sigma = Chain.between(0.2, 0.02, steps=9, eta=1, spacing=spacing).sigma[:-1]
        steps = differences(sigma)
        torch.testing.assert_close(steps, steps[:1].expand_as(steps))


def test_a_chain_from_a_schedule_takes_its_levels() -> None:
    schedule = NoiseSchedule.linear()
    chain = Chain.from_schedule(schedule, steps=10, eta=0.5)
    torch.testing.assert_close(chain.alpha_bar, schedule.alpha_bar[torch.arange(1000, -1, -100)])
    with pytest.raises(ValueError, match=r"1\.\.1000"):
        Chain.from_schedule(schedule, steps=1001, eta=0.5)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"steps": 0}, "at least 1 step"),
        ({"start": 0.01}, "noise must fall"),
        ({"end": 0.0}, "noise must fall"),
        ({"eta": 1.5}, "eta must lie in"),
    ],
)
def test_settings_that_make_no_chain_are_refused(settings, says) -> None:
    wanted = {"start": 0.2, "end": 0.02, "steps": 5, "eta": 1.0} | settings
    with pytest.raises(ValueError, match=says):
        Chain.between(wanted["start"], wanted["end"], steps=int(wanted["steps"]), eta=wanted["eta"])


def test_levels_and_weights_that_do_not_belong_together_are_refused() -> None:
    alpha_bar = torch.tensor([0.5, 1.0], dtype=torch.float64)
    two = torch.zeros(2, dtype=torch.float64)
    with pytest.raises(ValueError, match="as many c1 and c2"):
        Chain(alpha_bar=alpha_bar, c1=two, c2=two)
    with pytest.raises(ValueError, match="rise strictly"):
        Chain(alpha_bar=alpha_bar.flip(0), c1=two[:1], c2=two[:1])


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9))
def test_the_weights_of_some_steps_are_those_of_each(positions) -> None:
    chain = Chain.between(0.3, 6 / 255, steps=6, eta=0.9)
    found = chain.weights_of(positions, torch.zeros((), dtype=torch.float32))
    torch.testing.assert_close(found, chain.weights[:, positions].float(), rtol=0, atol=0)


def test_the_share_of_noisy_data_rises_evenly_in_the_logarithm_of_the_noise() -> None:
    chain = Chain.between(0.2, 0.02, steps=5, eta=1, kappa=(0.5, 0.9), spacing="linear")
    assert chain.kappa is not None
    sigma = chain.sigma[:-1]
    torch.testing.assert_close(chain.kappa, 0.9 - 0.4 * (sigma / sigma[-1]).log() / (sigma[0] / sigma[-1]).log())
    torch.testing.assert_close(chain.weights[6], chain.kappa)
    alone = Chain.between(0.2, 0.02, steps=1, eta=1, kappa=(0.5, 0.9))
    assert alone.weights[6].tolist() == [0.5]
    with pytest.raises(ValueError, match="as many kappa above 0"):
        Chain.between(0.2, 0.02, steps=5, eta=1, kappa=(0.5, 1.9))
