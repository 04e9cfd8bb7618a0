"""The joint map F of a chain, whose fixed point is the sequential chain."""

from __future__ import annotations

import torch
from torch import Tensor

from deqir.protocols import Linearization, Surrogate
from deqir.sampling.sampler import Sampler
from deqir.shapes import Float, Int


class JointMap:
    """F over the states at positions 1..T of every image; its fixed point is the sequential chain.

    One call evaluates the step f_i at all states at once, then carries the changes along the chain in one
    scan without the network, equations (8) and (9):
        x_{i+1}^new = f_i(x_i) + M_i (x_i^new - x_i),
        M_i = sqrt(alpha_bar_{i+1}) N J_i / sqrt(alpha_bar_i) + (c2_i / sqrt(1 - alpha_bar_i)) (I - J_i)
    with N = I - A^+ A and J_i the surrogate's stand-in for the Jacobian of the data prediction with respect
    to x_i / sqrt(alpha_bar_i). M_i would be the step's Jacobian, and the map a Newton step, were J_i exact.

    State k depends on states before it only, so each call makes one more leading state exact. F keeps the exact
    states, whatever a caller passes for them, and evaluates the network only after them; call k = 0, 1, ... costs
    T - k network evaluations an image (10). A map therefore serves one solve: images may leave between calls,
    but not pause.

    Attributes:
        calls: Calls so far, which is also the number of exact states.

    References:
        DeqIR, https://arxiv.org/abs/2311.11600, proposition 1 (J = I: the published form)
    """

    def __init__(self, sampler: Sampler, surrogate: Surrogate) -> None:
        self.calls = 0
        self._sampler = sampler
        self._exact = sampler.initial()
        self._done: list[Tensor] = []
        sigma = sampler.chain.sigma.tolist()
        self._jacobian: Linearization = surrogate.linearize(sigma, len(sampler.start))

    def __call__(self, X: Float[Tensor, "b T C H W"], rows: Int[Tensor, " b"], /) -> Float[Tensor, "b T C H W"]:
        """X: states 1..T of the images `rows`. Returns their next values."""
        sampler, k = self._sampler.take(rows), self.calls
        if k == sampler.chain.steps:
            return torch.stack([state[rows] for state in self._done], 1)
        old = torch.cat([self._exact[rows, None], X[:, k : sampler.chain.steps - 1]], 1)
        new = scan(sampler, self._jacobian, k, rows, old, sampler.x0_hat(old, k))
        self._exact = self._exact.clone()
        self._exact[rows] = new[0]
        self._done.append(self._exact)
        self.calls += 1
        return torch.stack([*(state[rows] for state in self._done[:-1]), *new], 1)


def scan(
    sampler: Sampler,
    jacobian: Linearization,
    first: int,
    rows: Int[Tensor, " b"],
    old: Float[Tensor, "b K C H W"],
    x0_hat: Float[Tensor, "b K C H W"],
) -> list[Float[Tensor, "b C H W"]]:
    """Return the states after K old ones, with the changes carried along the chain (9); calls no network.

    Args:
        jacobian: Stand-in for the Jacobian of the data prediction.
        first: Position of the first old state, which is known: it does not change.
        rows: Places of the images in the batch of the solve.
        old: States at positions first..first+K-1.
        x0_hat: Their data predictions.
    """
    stepped = sampler.step(old, x0_hat, first)
    new = [stepped[:, 0]]
    for j in range(1, old.shape[1]):
        step, dx = sampler.steps(first + j, 1, like=old), new[-1] - old[:, j]
        du = dx / step.signal
        dx0_hat = jacobian(first + j, rows, old[:, j] / step.signal, x0_hat[:, j], du)
        new.append(stepped[:, j] + step.carried(dx, dx0_hat))
    return new
