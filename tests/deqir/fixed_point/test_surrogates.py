"""The transform is a tight frame; surrogates contract, are symmetric and learn a denoiser that is linear."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deqir.fixed_point.joint_map import JointMap
from deqir.fixed_point.surrogates import FrozenData, Secant, Wiener
from deqir.linalg.dct import BLOCK, STRIDE, analyse, synthesise
from deqir.restore import SURROGATES
from tests.deqir.problems import OPERATORS, make_sampler, rand

SIGMA = (0.4, 0.2, 0.1)
sides = st.tuples(st.integers(1, 21), st.integers(1, 21))


@settings(deadline=None, max_examples=30)
@given(sides)
def test_analysis_then_synthesis_is_the_identity_at_any_size(side) -> None:
    x = rand(2, 3, *side)
    torch.testing.assert_close(synthesise(analyse(x), x.shape), x)


@settings(deadline=None, max_examples=30)
@given(sides)
def test_synthesis_is_the_scaled_transpose_of_analysis(side) -> None:
    x = rand(1, 1, *side)
    c = rand(*analyse(x).shape, seed=1)
    inner = (analyse(x) * c).sum() * (STRIDE / BLOCK) ** 2
    torch.testing.assert_close(inner, (x * synthesise(c, x.shape)).sum())


@pytest.mark.parametrize("name", ["wiener", "secant"])
def test_the_stand_in_is_symmetric_and_its_gains_stay_below_the_cap(name) -> None:
    """Symmetric and no larger than the cap, so that the scan contracts at eta = 1."""
    rows, u, x0_hat = torch.arange(1), rand(1, 1, 9, 10), rand(1, 1, 9, 10, seed=1)
    size = u.numel()
    basis = torch.eye(size, dtype=torch.float64).view(size, 1, 1, 9, 10)
    # the secant forgets nothing while u and x0_hat stay as they are: the map is the same for each column
    frozen = SURROGATES["wiener"] if name == "wiener" else Secant(memory=1.0)
    jacobian = frozen.linearize(SIGMA, 1)
    jacobian(1, rows, u, x0_hat, u)
    jacobian(1, rows, u + 0.1 * rand(1, 1, 9, 10, seed=2), x0_hat, u)
    again = u + 0.1 * rand(1, 1, 9, 10, seed=2)
    columns = [jacobian(1, rows, again, x0_hat, column).flatten() for column in basis]
    matrix = torch.stack(columns, 1)
    torch.testing.assert_close(matrix, matrix.mT)
    values = torch.linalg.eigvalsh(matrix)
    assert float(values.max()) <= 0.9 + 1e-9
    assert float(values.min()) >= -1e-9


def test_the_wiener_gain_is_large_where_the_image_is_strong_and_small_where_it_is_not() -> None:
    wave = torch.cos(torch.arange(32, dtype=torch.float64) * torch.pi * 5 / 8)
    x0_hat = wave.expand(1, 1, 32, 32)
    jacobian = Wiener().linearize((0.1,), 1)
    kept = jacobian(0, torch.arange(1), x0_hat, x0_hat, 0.01 * x0_hat)
    lost = jacobian(0, torch.arange(1), x0_hat, x0_hat, 0.01 * x0_hat.mT)
    assert float(kept.norm() / x0_hat.norm()) > 0.8 * 0.01
    assert float(lost.norm() / x0_hat.norm()) < 0.1 * 0.01


def test_the_secant_learns_the_gain_of_a_linear_denoiser_from_one_change() -> None:
    """x0_hat = 0.3 u: the first answer is the Wiener gain, the second the true one."""
    jacobian, rows = Secant(pull=1e-9).linearize(SIGMA, 1), torch.arange(1)
    u, du = rand(1, 3, 16, 16), rand(1, 3, 16, 16, seed=1)
    jacobian(1, rows, u, 0.3 * u, du)
    learnt = jacobian(1, rows, u + du, 0.3 * (u + du), du)
    torch.testing.assert_close(learnt, 0.3 * du, rtol=1e-5, atol=1e-5)


def test_the_secant_keeps_each_images_evidence_apart_when_others_leave() -> None:
    """Image 1 alone in the second round answers as it would with image 0 still there."""
    u, du = rand(2, 3, 16, 16), rand(2, 3, 16, 16, seed=1)
    gains = torch.tensor([0.1, 0.6], dtype=torch.float64)[:, None, None, None]

    def second(rows: Tensor) -> Tensor:
        jacobian = Secant().linearize(SIGMA, 2)
        jacobian(1, torch.arange(2), u, gains * u, du)
        return jacobian(1, rows, (u + du)[rows], (gains * (u + du))[rows], du[rows])

    torch.testing.assert_close(second(torch.tensor([1]))[0], second(torch.arange(2))[1])


def test_the_secant_repeats_what_a_change_did_although_no_gain_tells_it() -> None:
    """x0_hat = a mixture of u with its shifted self, which is far from diagonal in the cosine basis."""

    def mixture(v: Tensor) -> Tensor:
        return 0.4 * v + 0.4 * v.roll(3, -1).flip(-2)

    u, du, rows = rand(1, 3, 16, 16), rand(1, 3, 16, 16, seed=1), torch.arange(1)
    errors = dict[float, float]()
    for repeat in (0.0, 1.0):
        jacobian = Secant(repeat=repeat).linearize(SIGMA, 1)
        jacobian(1, rows, u, mixture(u), du)
        answer = jacobian(1, rows, u + du, mixture(u + du), 0.5 * du)
        errors[repeat] = float((answer - mixture(0.5 * du)).norm() / mixture(0.5 * du).norm())
    assert errors[1] < 0.01
    assert errors[0] > 0.3


def test_an_image_whose_answer_was_worse_than_none_is_given_none_and_its_neighbour_keeps_its_own() -> None:
    jacobian, rows = Secant().linearize(SIGMA, 2), torch.arange(2)
    u, du = rand(2, 3, 16, 16), rand(2, 3, 16, 16, seed=1)
    jacobian(1, rows, u, 0.5 * u, du)
    learnt = jacobian(1, rows, u + du, 0.5 * (u + du), du)
    assert float((learnt - 0.5 * du).norm() / du.norm()) < 0.05
    came = torch.stack([-learnt[0], learnt[1]])  # of image 0 the opposite
    after = jacobian(1, rows, u + 2 * du, 0.5 * (u + du) + came, du)
    assert float(after[0].norm()) == 0  # data prediction's
    assert float((after[1] - 0.5 * du[1]).norm() / du[1].norm()) < 0.05


@pytest.mark.parametrize("name", ["sr2", "colorize"])
@pytest.mark.parametrize("eta", [0.95, 1.0])
def test_where_no_gain_describes_the_prior_the_secant_falls_back_on_data_prediction(name, eta) -> None:
    """The prior moves images sideways, which no symmetric stand-in tells; unguarded it ends 2 to 8 times as far off."""

    def sideways(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        signal, noise = (level.sqrt().to(x_t)[:, None, None, None] for level in (alpha_bar, 1 - alpha_bar))
        return (x_t - signal * 0.9 * (x_t / signal).roll(3, -1)) / noise

    sampler = make_sampler(OPERATORS[name], steps=8, eta=eta, images=3, denoiser=sideways)
    end, rows, off = sampler.end(sampler.initial()), torch.arange(3), list[float]()
    for surrogate in (FrozenData(), Secant()):
        F, X = JointMap(sampler, surrogate), sampler.frozen()
        for _ in range(7):
            X = F(X, rows)
        off.append(float((X[:, -1] - end).norm()))
    assert off[1] < 1.6 * off[0]
