"""Noise in y against the singular value decomposition of the dense operator, component by component."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deqir import Chain, Picard, Restorer
from deqir.defaults import Defaults
from deqir.fixed_point.joint_map import JointMap
from deqir.operators import Deblurring, Inpainting, SeparableDeblurring, kernels
from deqir.protocols import Gain, LinearOperator, SpectralOperator
from deqir.restore import SURROGATES
from deqir.sampling.sampler import Sampler
from deqir.sampling.step import Step
from tests.deqir.problems import HEIGHT, OPERATORS, WIDTH, make_sampler, rand, toy_denoiser

pytestmark = pytest.mark.slow

SPECTRAL: Final = {name: A for name, A in OPERATORS.items() if isinstance(A, SpectralOperator)}
SIZE: Final = 3 * HEIGHT * WIDTH
ETAS: Final = (0.0, 0.85, 1.0)


@pytest.fixture(params=SPECTRAL)
def A(request: pytest.FixtureRequest) -> LinearOperator:
    return OPERATORS[str(request.param)]


@pytest.fixture(scope="module")
def decompositions() -> dict[str, tuple[Tensor, Tensor]]:
    """Singular values, with the zeros, and right-singular vectors of each operator as a matrix."""
    basis = torch.eye(SIZE, dtype=torch.float64).view(SIZE, 3, HEIGHT, WIDTH)
    found = dict[str, tuple[Tensor, Tensor]]()
    for name, operator in SPECTRAL.items():
        matrix = operator(basis).flatten(1).mT
        pinv = operator.pinv(matrix.mT.reshape(SIZE, *operator(basis[:1]).shape[1:])).flatten(1)
        _, s, Vh = torch.linalg.svd(matrix, full_matrices=True)
        s = torch.cat([s, s.new_zeros(SIZE - len(s))])
        seen = (Vh @ pinv.mT @ Vh.mT).diagonal()  # 1 where A^+A keeps the component, 0 where it is unseen or cut
        found[name] = torch.where(seen > 0.5, s, 0.0), Vh.mT
    return found


@pytest.mark.parametrize("sigma_y", [0.01, 0.3, 2.0])
@pytest.mark.parametrize("eta", ETAS)
def test_each_component_follows_its_scalar_recurrence(decompositions, A, eta, sigma_y) -> None:
    """DDNM+ for one singular value at a time, in Python numbers."""
    s, V = decompositions[next(name for name, operator in OPERATORS.items() if operator is A)]
    sampler = make_sampler(A, eta=eta, sigma_y=sigma_y)
    x = sampler.initial()
    for i in range(sampler.chain.steps):
        x0_hat = sampler.x0_hat(x[:, None], i)
        found = sampler.step(x[:, None], x0_hat, i)[:, 0]
        a, b = float(sampler.chain.alpha_bar[i]), float(sampler.chain.alpha_bar[i + 1])
        eps = (x - math.sqrt(a) * x0_hat[:, 0]) / math.sqrt(1 - a)
        parts = [v.flatten(1) @ V for v in (x0_hat[:, 0], eps, sampler.noise[:, i + 1], sampler.pinv_y)]
        weights = [scalar_weights(float(value), a, b, eta, sigma_y) for value in s]
        take, c1, c2 = (torch.tensor(column, dtype=torch.float64) for column in zip(*weights, strict=True))
        mean = parts[0] + take * (parts[3] - parts[0])
        wanted = (math.sqrt(b) * mean + c2 * parts[1] + c1 * parts[2]) @ V.mT
        torch.testing.assert_close(found.flatten(1), wanted, rtol=1e-7, atol=1e-7)
        x = found


def scalar_weights(s: float, a: float, b: float, eta: float, sigma_y: float) -> tuple[float, float, float]:
    """Share of the data, weight of fresh noise and of predicted noise for one singular value."""
    level = math.sqrt(1 - b)
    c1, c2 = eta * level, math.sqrt(1 - eta**2) * level
    if s < 1e-9:
        return 0.0, c1, c2
    if b == 1:
        prior = Defaults.PRIOR_ERROR**2 * (1 - a) / a
        return prior / (prior + (sigma_y / s) ** 2), 0.0, 0.0
    data = math.sqrt(b) * sigma_y / s
    if data <= c1:
        return 1.0, math.sqrt(c1**2 - data**2), c2
    if data <= level:
        return 1.0, 0.0, min(c2, math.sqrt(level**2 - data**2))
    return level / data, 0.0, 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Diagonal:
    """y = s x, pixel by pixel."""

    s: Tensor
    start_noise: float = 0.3

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        channels, height, width = y_shape[-3:]
        return channels, height, width

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.s * x

    def pinv(self, y: Tensor, /) -> Tensor:
        return y / self.s

    def filter(self, v: Tensor, gain: Gain, /) -> Tensor:
        return gain(self.s) * v

    adjoint = __call__
    start = guess = pinv


@settings(deadline=None, max_examples=40)
@given(st.floats(1e-4, 3), st.sampled_from(ETAS), st.integers(0, 4))
def test_what_the_data_bring_the_fresh_and_the_predicted_noise_make_up_the_level(sigma_y, eta, i) -> None:
    s = torch.tensor([0.05, 0.3, 1.0], dtype=torch.float64).view(1, 1, 1, 3)
    chain = Chain.between(0.3, 6 / 255, steps=6, eta=eta)
    step = Step.at(chain, [i], A=Diagonal(s=s), sigma_y=torch.tensor([sigma_y]), like=s)
    zero, one = torch.zeros_like(s), torch.ones_like(s)
    brought = step(zero, zero, pinv_y=sigma_y / s, z=zero)  # of data that are one standard deviation of noise
    fresh, predicted = step(zero, zero, pinv_y=zero, z=one), step(zero, one, pinv_y=zero, z=zero)
    total = brought.square() + fresh.square() + predicted.square()
    torch.testing.assert_close(total, step.next_noise.square().expand_as(total))


@pytest.mark.parametrize("eta", ETAS)
def test_exact_data_are_the_limit_of_ever_less_noise(A, eta) -> None:
    exact = make_sampler(A, eta=eta)
    wanted = exact.end(exact.initial())
    gaps = list[float]()
    for sigma_y in (1e-2, 1e-4, 1e-6):
        sampler = replace(exact, sigma_y=torch.full((2,), sigma_y, dtype=torch.float64))
        gaps.append(float((sampler.end(sampler.initial()) - wanted).abs().max()))
    assert gaps[2] < 1e-5
    assert gaps[1] < gaps[0] / 5
    noiseless = replace(exact, sigma_y=torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(noiseless.end(noiseless.initial()), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("eta", ETAS)
def test_the_parallel_solve_of_noisy_data_is_the_sequential_chain(A, surrogate, eta) -> None:
    sampler = make_sampler(A, eta=eta, sigma_y=0.1)
    exact = torch.stack(list(sampler.sequential(sampler.initial())), 1)
    found = Picard(tol=1e-11)(JointMap(sampler, SURROGATES[surrogate]), sampler.frozen())
    torch.testing.assert_close(found.value, exact, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("mode", ["throughput", 3])
def test_images_of_a_batch_have_noise_of_their_own(A, mode) -> None:
    """Exact and noisy images together, each as if alone; the given noise changes the result."""
    restorer = Restorer(toy_denoiser, steps=5, start_noise=0.3, mode=mode, tolerance=1e-12)
    y = A(rand(3, 3, HEIGHT, WIDTH, seed=3))
    noises = [0.0, 0.2, 0.0]
    together = restorer(y, A, seeds=[1, 2, 3], sigma_y=noises).images
    for place, noise in enumerate(noises):
        alone = restorer(y[place, None], A, seeds=[place + 1], sigma_y=noise).images
        torch.testing.assert_close(together[place, None], alone)
    exact = restorer(y[1, None], A, seeds=[2]).images
    assert float((together[1] - exact[0]).abs().max()) > 1e-3


def test_noise_without_singular_values_is_refused_with_the_remedy() -> None:
    class Blind:
        """An operator without `filter`."""

        start_noise = 0.3

        def __init__(self) -> None:
            keep = Inpainting(keep=torch.ones(HEIGHT, WIDTH, dtype=torch.bool))
            self.image_shape, self.adjoint, self.pinv = keep.image_shape, keep.adjoint, keep.pinv
            self.start, self.guess = keep.start, keep.guess

        def __call__(self, x: Tensor) -> Tensor:
            return x

    y = rand(1, 3, HEIGHT, WIDTH)
    restorer = Restorer(lambda x, a: x, steps=2, start_noise=0.3)
    restorer(y, Blind())
    with pytest.raises(ValueError, match="sigma_y = 0"):
        restorer(y, Blind(), sigma_y=0.1)
    with pytest.raises(ValueError, match="at least 0"):
        restorer(y, Blind(), sigma_y=-0.1)


@pytest.mark.parametrize("steps", [50, 400])
def test_with_a_gaussian_prior_the_chain_samples_the_exact_posterior_in_the_limit(steps) -> None:
    """Pixels of variance p, one of two seen: eta = 0 follows the probability-flow ODE, which is exact for many steps.

    Each pixel is by itself and the chain is affine, so its variance is the sum of the squared weights of the chain's
    noises. The unseen pixel must have the prior's variance, the seen pixel its value. (With a share eta > 0 of
    the noise renewed in every step, however small the step, the spread stays below the prior's: 0.71 p at 0.9.)
    """
    p = 0.3
    keep = torch.zeros(1, 2, dtype=torch.bool)
    keep[0, 0] = True
    A = Inpainting(keep=keep)

    def prior(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        a = alpha_bar.to(x_t)[:, None, None, None]
        return (1 - a).sqrt() * x_t / (a * p + 1 - a)  # the noise that is expected in x_t

    chain = Chain.between(10.0, 1e-3, steps=steps, eta=0.0)
    noise = torch.eye(steps + 1, dtype=torch.float64)[:, :, None, None, None].expand(-1, -1, 1, 1, 2)
    zero = torch.zeros(steps + 1, 1, 1, 2, dtype=torch.float64)
    sampler = Sampler(denoiser=prior, A=A, chain=chain, pinv_y=zero, start=zero, noise=noise)
    contributions = sampler.end(sampler.initial())
    seen, unseen = contributions[..., 0].square().sum(), contributions[..., 1].square().sum()
    assert float(seen) == 0
    assert abs(float(unseen) / p - 1) < 6 / steps
    y = torch.full((1, 1, 1, 2), 0.4, dtype=torch.float64)
    mean = replace(sampler, pinv_y=A.pinv(y), start=0 * y, noise=0 * noise[:1], sigma_y=None)
    torch.testing.assert_close(mean.end(mean.initial()), A(y))


@pytest.mark.parametrize("name", ["separable", "fourier"])
def test_a_blurs_start_does_not_amplify_the_noise_that_is_told(name) -> None:
    """White noise is blurred and sharpened again: sigma_y keeps it small in the start, and the engine passes it on."""
    line = kernels.gaussian(1.6)
    A = SeparableDeblurring(kernel=line) if name == "separable" else Deblurring(kernel=torch.outer(line, line))
    sigma_y = 0.04
    noise = sigma_y * rand(1, 3, 64, 64)
    quiet, loud = A.start_of_noisy(noise, sigma_y), A.start(noise)
    assert float(loud.std()) > 10 * sigma_y
    assert float(quiet.std()) < 3 * sigma_y
    restorer = Restorer(lambda x, a: 0 * x, steps=1, start_noise=0.3)
    x = rand(1, 3, 64, 64, seed=1) * 0.1
    found = restorer(A(x) + noise, A, sigma_y=sigma_y).start
    torch.testing.assert_close(found, A.start_of_noisy(A(x) + noise, sigma_y))
