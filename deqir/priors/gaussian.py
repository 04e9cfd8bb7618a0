"""A prior for Gaussian images, with every prediction known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from deqir.shapes import Float


class GaussianPrior:
    """The exact noise predictor of x_0 ~ N(mean, covariance), a `Denoiser`.

    E[x_0 | x_t] = mean + sqrt(a) C (a C + (1 - a) I)^-1 (x_t - sqrt(a) mean), equation (16), with a = alpha_bar, and
    eps = (x_t - sqrt(a) E[x_0 | x_t]) / sqrt(1 - a). Any chain with it is affine in its noise, and the
    posterior of a linear measurement is known, so samplers can be checked against mathematics instead of a network.

    Args:
        mean: Mean image, shape (C, H, W).
        covariance: Symmetric and positive semidefinite, over the flattened image, shape (D, D).

    Raises:
        ValueError: The shapes do not fit each other, or the covariance has a negative eigenvalue.
    """

    def __init__(self, mean: Float[Tensor, "C H W"], covariance: Float[Tensor, "D D"]) -> None:
        if covariance.shape != (mean.numel(), mean.numel()):
            raise ValueError(
                f"a mean of {mean.numel()} values needs a covariance of as many rows and columns, "
                f"got {tuple(covariance.shape)}"
            )
        variance, basis = torch.linalg.eigh(covariance)
        if float(variance[0]) < -1e-9 * float(variance[-1]):
            raise ValueError(f"the covariance has a negative eigenvalue, {float(variance[0]):.3g}")
        self.mean, self.covariance = mean, covariance
        self._variance: Tensor = variance.clamp(min=0)
        self._basis: Tensor = basis

    def __call__(self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /) -> Float[Tensor, "N C H W"]:
        a = alpha_bar.to(x_t)[:, None]
        centred = (x_t - a.sqrt()[..., None, None] * self.mean).flatten(1) @ self._basis
        # (x_t - sqrt(a) x0_hat) / sqrt(1 - a), simplified to avoid cancellation as a -> 1
        eps: Tensor = (1 - a).sqrt() * centred / (a * self._variance + 1 - a)
        return (eps @ self._basis.mT).view_as(x_t)

    def posterior(
        self, A: Float[Tensor, "M D"], y: Float[Tensor, " M"]
    ) -> tuple[Float[Tensor, " D"], Float[Tensor, "D D"]]:
        """Return mean and covariance of the flattened x_0 given y = A x_0 exactly, A as a dense matrix."""
        C, mu = self.covariance, self.mean.flatten()
        gain = C @ A.mT @ torch.linalg.pinv(A @ C @ A.mT, hermitian=True)
        return mu + gain @ (y - A @ mu), C - gain @ A @ C
