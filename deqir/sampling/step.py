"""One step of the chain, for rows of different images at different positions.

In the right-singular basis of A = U diag(s) V^T each component of an image is restored by itself, and the data know
it up to noise of sigma_y / s. The share that a step takes from noisy data is therefore a function of s, which
`SpectralOperator.filter` applies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deqir.defaults import Defaults
from deqir.protocols import LinearOperator, SpectralOperator
from deqir.shapes import Float

from .chain import Chain


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """The steps from N states to the next ones; all weights have shape (N, 1, 1, 1).

    Attributes:
        signal, noise: sqrt(alpha_bar_i) and sqrt(1 - alpha_bar_i).
        next_signal, next_noise: The same of position i + 1.
        c1, c2: Weight of the fresh and of the predicted noise.
        sigma_y: Standard deviation of the noise in y, images in [-1, 1]; None: y is exact.
        kappa: Most noise from data whose noise is above the level of the next state, as a share of this level; fresh
            noise makes up the rest. None: such data bring all the noise of the next state.
        prior_error: Error of the last data prediction, as a share of the noise in its state.

    Raises:
        ValueError: y is noisy, and A does not know its singular values.

    References:
        DDNM (Wang et al., 2023), https://arxiv.org/abs/2212.00490, algorithm 1 and equations 17 to 19
    """

    A: LinearOperator
    signal: Tensor
    noise: Tensor
    next_signal: Tensor
    next_noise: Tensor
    c1: Tensor
    c2: Tensor
    sigma_y: Tensor | None = None
    kappa: Tensor | None = None
    prior_error: float = Defaults.PRIOR_ERROR

    @classmethod
    def at(
        cls, chain: Chain, positions: Sequence[int], *, A: LinearOperator, sigma_y: Tensor | None, like: Tensor
    ) -> Step:
        """Return the steps from these positions of a chain, one a row, where `like` is and in its precision.

        `sigma_y` is the noise of each row, shape (N,), or None.
        """
        names = ("signal", "noise", "next_signal", "next_noise", "c1", "c2", "kappa")[: len(chain.weights)]
        weights = zip(names, chain.weights_of(positions, like)[..., None, None, None], strict=True)
        told = None if sigma_y is None else sigma_y.to(like)[:, None, None, None]
        return cls(A=A, sigma_y=told, prior_error=chain.prior_error, **dict(weights))

    def x0_hat(self, x: Float[Tensor, "N C H W"], eps: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """Return the data prediction (4)."""
        return (x - self.noise * eps) / self.signal

    def eps(self, x: Float[Tensor, "N C H W"], x0_hat: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """Return the predicted noise of a data prediction."""
        return (x - self.signal * x0_hat) / self.noise

    def __call__(
        self,
        x0_hat: Float[Tensor, "N C H W"],
        eps: Float[Tensor, "N C H W"],
        *,
        pinv_y: Float[Tensor, "N C H W"],
        z: Float[Tensor, "N C H W"],
    ) -> Float[Tensor, "N C H W"]:
        """Return the next states (5), (6), with the fresh noise z; with noisy data (20) to (23)."""
        if self.sigma_y is None:
            return self.next_signal * (pinv_y + self._unseen(x0_hat)) + self.c1 * z + self.c2 * eps
        A = _spectral(self.A)
        x_tilde = x0_hat + A.filter(pinv_y - x0_hat, self._data)
        return self.next_signal * x_tilde + A.filter(z, self._fresh) + A.filter(eps, self._predicted)

    def carried(self, dx: Float[Tensor, "N C H W"], dx0_hat: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """Return the changes of the next states for changes of the states and of their data predictions (9)."""
        deps = self.eps(dx, dx0_hat)
        predicted = self.c2 * deps if self.sigma_y is None else _spectral(self.A).filter(deps, self._predicted)
        return self.next_signal * self._unseen(dx0_hat) + predicted

    def _unseen(self, v: Tensor) -> Tensor:
        """Return the part of a data prediction that a step keeps: (I - A^+A) v if the data are exact."""
        return v - (self.A.pinv(self.A(v)) if self.sigma_y is None else _spectral(self.A).filter(v, self._data))

    def _data(self, s: Tensor) -> Tensor:
        """Return lambda(s), the share of A^+ y in the next state (20); in the last step (21)."""
        data_noise = self._data_noise(s)
        due = self.next_noise / (self.next_signal * data_noise)  # noise due in the next state anyway does no harm
        taken = due.clamp(max=1) if self.kappa is None else torch.where(due < 1, self.kappa * due, 1.0)
        prior = (self.prior_error * self.noise / self.signal).square()
        share = torch.where(self.next_noise > 0, taken, prior / (prior + data_noise.square()))
        return torch.where(s > 0, share, 0.0)

    def _fresh(self, s: Tensor) -> Tensor:
        """Return c1(s): the data's noise takes the place of fresh noise (22)."""
        level = self.c1 if self.kappa is None else torch.where(self._noisy(s), self.next_noise, self.c1)
        return (level.square() - self._brought(s).square()).clamp(min=0).sqrt()

    def _predicted(self, s: Tensor) -> Tensor:
        """Return c2(s): noise of the data beyond the fresh noise takes the place of predicted noise (23)."""
        room = self.next_noise.square() - self._brought(s).square()
        predicted = torch.minimum(self.c2, room.clamp(min=0).sqrt())
        return predicted if self.kappa is None else torch.where(self._noisy(s), 0.0, predicted)

    def _noisy(self, s: Tensor) -> Tensor:
        """Return True where the data have more noise than is due in the next state."""
        return (s > 0) & (self.next_noise < self.next_signal * self._data_noise(s))

    def _data_noise(self, s: Tensor) -> Tensor:
        """Return the noise of A^+ y; any positive number where s is 0."""
        assert self.sigma_y is not None
        return (self.sigma_y / torch.where(s > 0, s, 1.0)).clamp(min=torch.finfo(s.dtype).tiny)

    def _brought(self, s: Tensor) -> Tensor:
        """Return the noise from the data in the next state; 0 after the last step."""
        return torch.where(self.next_noise > 0, self.next_signal * self._data(s) * self._data_noise(s), 0.0)


def _spectral(A: LinearOperator) -> SpectralOperator:
    if isinstance(A, SpectralOperator):
        return A
    raise ValueError(
        f"noise in y needs an operator that knows its singular values, and {type(A).__name__} has no method `filter`: "
        "restore with sigma_y = 0, or write one (deqir.protocols.SpectralOperator)"
    )
