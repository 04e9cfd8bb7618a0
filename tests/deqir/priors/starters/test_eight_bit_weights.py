"""Weights in eight bits: their error, unchanged weights, and refused files."""

from __future__ import annotations

import pytest
import torch

from deqir.priors.starters.eight_bit_weights import MOST, STEPS, packed, unpacked
from tests.deqir.priors.starters.starting import filler
from tests.deqir.problems import rand


def test_a_weight_is_off_by_half_a_step_of_its_own_kernel_at_most() -> None:
    """Kernels of very different strength, and a kernel of zeros."""
    weight = (rand(6, 4, 3, 3) * 10 ** rand(6, 4, 1, 1, seed=1).clamp(-1, 1)).float()
    weight[2, 3] = 0
    found = unpacked(packed({"a.weight": weight}))
    assert list(found) == ["a.weight"]
    off = (found["a.weight"] - weight).abs().amax((-2, -1))
    step = weight.abs().amax((-2, -1)) / MOST
    assert bool((off <= 0.501 * step).all())
    assert not bool(found["a.weight"][2, 3].any())


def test_a_row_may_share_one_step() -> None:
    weight = rand(6, 4, 3, 3).float()
    held = packed({"a.weight": weight}, rows=True)
    assert held["a.weight" + STEPS].shape == (6, 1, 1, 1)
    off = (unpacked(held)["a.weight"] - weight).abs().amax((1, 2, 3))
    assert bool((off <= 0.501 * weight.abs().amax((1, 2, 3)) / MOST).all())


def test_kernels_are_held_in_eight_bits_and_all_else_in_half_precision() -> None:
    weights = {"a.weight": rand(8, 4, 3, 3), "a.bias": rand(8), "b.weight": rand(8, 4, 1, 1), "c.weight": rand(5, 6)}
    held = packed(weights)
    kinds = {name: weight.dtype for name, weight in held.items()}
    half = torch.half
    assert kinds == {
        "a.weight": torch.int8,
        "a.weight" + STEPS: half,
        "a.bias": half,
        "b.weight": half,
        "c.weight": half,
    }
    found = unpacked(held)
    assert list(found) == list(weights)
    for name in ("a.bias", "b.weight", "c.weight"):
        assert torch.equal(found[name], weights[name].half())


def test_weights_that_were_never_packed_stay_as_they_are() -> None:
    weights = {"a.weight": rand(2, 2, 3, 3).half(), "a.bias": rand(2).float()}
    found = unpacked(weights)
    assert found.keys() == weights.keys()
    assert all(found[name] is weights[name] for name in weights)


def test_a_network_of_packed_weights_makes_nearly_the_same_images() -> None:
    network, packed_one = filler(width=24, depth=4), filler(width=24, depth=4)
    packed_one.load_state_dict({name: w.float() for name, w in unpacked(packed(network.state_dict())).items()})
    y, keep = torch.tanh(rand(1, 3, 32, 32)).float(), rand(32, 32, seed=1) > 0
    found, wanted = (one.make_start(y, keep, 0.1) for one in (packed_one, network))
    assert not torch.equal(found, wanted)
    assert float((found - wanted).abs().max()) < 0.01


@pytest.mark.parametrize("steps", [{}, {"a.weight" + STEPS: torch.ones(2)}], ids=["none", "not a kernel's each"])
def test_eight_bits_without_steps_that_fit_are_refused(steps) -> None:
    weights = {"a.weight": torch.ones(2, 2, 3, 3, dtype=torch.int8), **steps}
    with pytest.raises(RuntimeError, match=r"a.weight is in eight bits, but a.weight.steps is missing or does not fit"):
        unpacked(weights)


def test_steps_of_no_weight_are_left_for_the_network_to_refuse() -> None:
    assert list(unpacked({"a.weight" + STEPS: torch.ones(2, 2, 1, 1)})) == ["a.weight" + STEPS]
