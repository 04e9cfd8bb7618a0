"""A Gaussian prior, with everything known in closed form: the chain is affine, the posterior Gaussian."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from deqir import Chain, GaussianPrior, Restorer
from deqir.operators import Inpainting, SuperResolution
from deqir.protocols import LinearOperator
from deqir.restore import SURROGATES
from deqir.sampling.counter_normal import standard_normal
from deqir.sampling.sampler import Sampler
from tests.conformance.dense import dense
from tests.deqir.problems import rand

SHAPE = (3, 4, 4)
SIZE = 48


def covariance(seed: int = 0) -> Tensor:
    """Correlated pixels and channels with eigenvalues from 0.002 to 0.5."""
    basis = torch.linalg.qr(rand(SIZE, SIZE, seed=seed)).Q
    return basis * torch.logspace(-2.7, -0.3, SIZE, dtype=torch.float64) @ basis.mT


OPERATORS: dict[str, LinearOperator] = {
    "sr2": SuperResolution(scale=2),
    "inpaint": Inpainting(keep=torch.rand(4, 4, generator=torch.Generator().manual_seed(1)) > 0.5),
}


@pytest.mark.parametrize("alpha_bar", [0.01, 0.5, 0.999])
def test_the_prediction_is_the_conditional_mean_of_the_joint_gaussian(alpha_bar) -> None:
    """(x_0, x_t) is jointly Gaussian: E[x_0 | x_t] by conditioning it, without the prior's own formula."""
    prior = GaussianPrior(0.3 * rand(*SHAPE), covariance())
    x_t, a = rand(2, *SHAPE, seed=5), torch.full((2,), alpha_bar, dtype=torch.float64)
    C, mu = prior.covariance, prior.mean.flatten()
    joint = alpha_bar * C + (1 - alpha_bar) * torch.eye(SIZE, dtype=torch.float64)
    wanted = mu + np.sqrt(alpha_bar) * (x_t.flatten(1) - np.sqrt(alpha_bar) * mu) @ torch.linalg.solve(joint, C)
    found = (x_t - np.sqrt(1 - alpha_bar) * prior(x_t, a)) / np.sqrt(alpha_bar)
    torch.testing.assert_close(found.flatten(1), wanted)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("how", ["step by step", *SURROGATES])
@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
def test_the_restored_image_is_that_of_the_affine_chain_in_numpy(name, how, eta) -> None:
    """An independent computation: dense matrices, numpy, one step after another."""
    A, prior, steps = OPERATORS[name], GaussianPrior(0.3 * rand(*SHAPE), covariance()), 7
    y = A(0.5 * rand(1, *SHAPE, seed=7))
    restorer = Restorer(
        prior, steps=steps, eta=eta, start_noise=0.3, tolerance=1e-12, mode="throughput", within_range=False
    )
    if how != "step by step":
        restorer = replace(restorer, mode="latency", surrogate=how)
    found = restorer(y, A, seeds=[11])

    noise = standard_normal(11, (steps + 1) * SIZE, device=torch.device("cpu")).view(-1, SIZE).double().numpy()
    C, mu = prior.covariance.numpy(), prior.mean.flatten().numpy()
    matrix = dense(A, SHAPE).numpy()
    pinv = np.linalg.pinv(matrix)
    null = np.eye(SIZE) - pinv @ matrix
    sigma = np.append(2 * np.geomspace(0.3, 6 / 255, steps), 0.0)
    a = 1 / (1 + sigma**2)
    x = np.sqrt(a[0]) * A.start(y).flatten().numpy() + np.sqrt(1 - a[0]) * noise[0]
    for i in range(steps):
        gain = np.sqrt(a[i]) * C @ np.linalg.inv(a[i] * C + (1 - a[i]) * np.eye(SIZE))
        x0_hat = mu + gain @ (x - np.sqrt(a[i]) * mu)
        eps = (x - np.sqrt(a[i]) * x0_hat) / np.sqrt(1 - a[i])
        x_tilde = pinv @ y.flatten().numpy() + null @ x0_hat
        fresh = eta * noise[i + 1] + np.sqrt(1 - eta**2) * eps
        x = np.sqrt(a[i + 1]) * x_tilde + np.sqrt(1 - a[i + 1]) * fresh
    np.testing.assert_allclose(found.images.flatten().numpy(), x, rtol=0, atol=1e-8)


def independent_halves() -> GaussianPrior:
    """A prior whose parts seen and unseen by SuperResolution(2) are independent of each other.

    The null-space step is then exact, and the chain must sample the true posterior.
    """
    matrix = dense(OPERATORS["sr2"], SHAPE)
    seen = torch.linalg.pinv(matrix) @ matrix
    unseen = torch.eye(SIZE, dtype=torch.float64) - seen
    C = seen @ covariance(1) @ seen + unseen @ covariance(2) @ unseen
    return GaussianPrior(0.3 * rand(*SHAPE), (C + C.mT) / 2)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_started_at_the_prior_mean_without_noise_the_chain_ends_at_the_posterior_mean(eta) -> None:
    """The chain is affine, so its mean over the noise is the chain with every noise set to zero."""
    A, prior = OPERATORS["sr2"], independent_halves()
    y = A(0.5 * rand(1, *SHAPE, seed=7))
    mean, _ = prior.posterior(dense(A, SHAPE), y.flatten())
    sampler = Sampler(
        denoiser=prior,
        A=A,
        chain=Chain.between(2.0, 0.01, steps=5, eta=eta),
        pinv_y=A.pinv(y),
        start=mean.view(1, *SHAPE),
        noise=torch.zeros(1, 6, *SHAPE, dtype=torch.float64),
    )
    *_, x_0 = sampler.sequential(sampler.initial())
    torch.testing.assert_close(x_0.flatten(), mean)


def test_the_spread_of_a_long_deterministic_chain_is_the_posterior_covariance() -> None:
    """eta = 0 follows the probability-flow equation: x_0 is affine in the first noise, which gives its spread.

    Steps of ratio r in sigma shrink each direction by a factor off by O(log r): with 400 steps from 30 to
    0.001 the error is below 3 %.
    """
    A, prior = OPERATORS["sr2"], independent_halves()
    y = A(0.5 * rand(1, *SHAPE, seed=7)).expand(SIZE + 1, -1, -1, -1)
    mean, wanted = prior.posterior(dense(A, SHAPE), y[0].flatten())
    steps = 400
    noise = torch.zeros(SIZE + 1, steps + 1, *SHAPE, dtype=torch.float64)
    noise[1:, 0] = torch.eye(SIZE, dtype=torch.float64).view(SIZE, *SHAPE)
    sampler = Sampler(
        denoiser=prior,
        A=A,
        chain=Chain.between(30.0, 0.001, steps=steps, eta=0),
        pinv_y=A.pinv(y),
        start=mean.view(1, *SHAPE).expand(SIZE + 1, -1, -1, -1),
        noise=noise,
    )
    *_, x_0 = sampler.sequential(sampler.initial())
    columns = (x_0[1:] - x_0[0]).flatten(1)
    found = columns.mT @ columns
    scale = float(torch.linalg.eigvalsh(wanted)[-1])
    assert float((found - wanted).abs().max()) < 0.03 * scale


def test_the_posterior_is_the_limit_of_a_measurement_with_vanishing_noise() -> None:
    A, prior = OPERATORS["inpaint"], GaussianPrior(0.3 * rand(*SHAPE), covariance())
    matrix = dense(A, SHAPE)
    seen = matrix.abs().sum(1) > 0
    y = A(0.5 * rand(1, *SHAPE, seed=7)).flatten()
    mean, spread = prior.posterior(matrix, y)
    precision = torch.linalg.inv(prior.covariance) + matrix[seen].mT @ matrix[seen] / 1e-9
    limit = torch.linalg.solve(
        precision, torch.linalg.solve(prior.covariance, prior.mean.flatten()) + matrix[seen].mT @ y[seen] / 1e-9
    )
    torch.testing.assert_close(mean, limit, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(spread, torch.linalg.inv(precision), rtol=1e-4, atol=1e-4)


def test_a_covariance_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="rows and columns"):
        GaussianPrior(torch.zeros(SHAPE), torch.eye(3))
    with pytest.raises(ValueError, match="negative eigenvalue"):
        GaussianPrior(torch.zeros(1, 1, 2), torch.diag(torch.tensor([1.0, -1.0])))
