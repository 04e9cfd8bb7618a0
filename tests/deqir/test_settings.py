"""Presets for fidelity and for detail, and the shortest chain of all: one evaluation of the network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from deqir import Restorer, Settings
from deqir.operators import Denoising, SuperResolution
from deqir.settings import FAVOURS
from tests.deqir.problems import rand, toy_denoiser


def test_balance_is_the_default_and_the_others_differ_from_it() -> None:
    assert Settings().favouring("balance") == Settings()
    assert len({Settings().favouring(favour) for favour in FAVOURS}) == len(FAVOURS)


@pytest.mark.parametrize("favour", FAVOURS)
def test_a_setting_with_a_value_of_its_own_stays(favour) -> None:
    own = Settings(eta=0.3, kappa=None, steps=7, prior_error=0.2)
    assert own.favouring(favour) == replace(own, faithful=favour == "fidelity")


def test_a_restorer_keeps_its_prior_whatever_it_favours() -> None:
    restorer = Restorer(toy_denoiser, steps=3).favouring("fidelity")
    assert (restorer.prior, restorer.steps, restorer.eta) == (toy_denoiser, 3, 1.0)


def test_shares_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="kappa must be two numbers"):
        Settings(kappa=(0.0, 0.9))
    with pytest.raises(ValueError, match="prior_error must be at least 0"):
        Settings(prior_error=-1)


def test_direct_denoising_is_the_network_at_y_and_the_noise_of_y() -> None:
    """The only state is sqrt(a) y, at the level a of y's noise; the result is the data prediction alone."""
    sigma_y, y = 0.2, 0.3 * rand(2, 3, 8, 12)
    found = Restorer(toy_denoiser, faithful=True, within_range=False)(y, Denoising(), sigma_y=sigma_y)
    a = torch.full((2,), 1 / (1 + sigma_y**2), dtype=torch.float64)
    level = a[:, None, None, None]
    state = level.sqrt() * y
    wanted = (state - (1 - level).sqrt() * toy_denoiser(state, a)) / level.sqrt()
    torch.testing.assert_close(found.images, wanted)
    assert [stats.nfe for stats in found.stats] == [1, 1]


@pytest.mark.parametrize("own", [{"start_noise": 0.3}, {"faithful": False}])
def test_denoising_takes_a_chain_where_its_start_is_set_or_fidelity_is_not_wanted(own) -> None:
    restorer = Restorer(toy_denoiser, **{"steps": 4, "faithful": True} | own)
    (stats,) = restorer(0.3 * rand(1, 3, 8, 12), Denoising(), sigma_y=0.2).stats
    assert stats.nfe == 4


def test_other_operators_take_their_chain() -> None:
    A = SuperResolution(scale=2)
    (stats,) = Restorer(toy_denoiser, steps=4, faithful=True)(0.3 * rand(1, 3, 4, 6), A, sigma_y=0.2).stats
    assert stats.nfe == 4
