"""The adjoint of a chain as a fixed point: all vector-Jacobian products at once, and one scan from the chain's end."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

from deqir.protocols import Linearization, Surrogate
from deqir.sampling.sampler import Sampler
from deqir.shapes import Float, Int

EVIDENCE: Final = 0.01
"""RMS of adjoints when a surrogate sees them as changes of an image; so small that the image stays the same."""


class AdjointMap:
    """F over the adjoints a_{T-1}, ..., a_0 of every image, in this order; its fixed point is the exact adjoint.

    As `JointMap` does with the states, one call takes all vector-Jacobian products at the old adjoints, and then
    carries the changes along the chain, from its end to its beginning, without the network (32):
        a_i^new = (dx_{i+1}/dx_i)^T a_{i+1} + M_i^T (a_{i+1}^new - a_{i+1})
    M_i is (9). Its J_i is symmetric for surrogates other than `Secant`; `Secant` learns the transpose directly, from
    the products of past rounds.

    Block k is exact after call k: call k = 0, 1, ... goes through the network T - k times an image (10).

    Args:
        sampler: The chain; neither it nor the other tensors may come from inference mode.
        states: x_0..x_T.
        end: dL/dx_T.
        surrogate: Stand-in for the Jacobian of the data prediction.

    Attributes:
        calls: Calls so far, which is also the number of exact blocks.
        start: The adjoints of the surrogate alone, shape (B, T, C, H, W).
    """

    def __init__(
        self,
        sampler: Sampler,
        states: Float[Tensor, "B positions C H W"],
        end: Float[Tensor, "B C H W"],
        surrogate: Surrogate,
    ) -> None:
        self.sampler, self.calls = sampler, 0
        self._states, self._exact = states, end
        self._done: list[Tensor] = []
        self._units: list[Tensor] = []
        sigma = sampler.chain.sigma.flip(0)[1:].tolist()
        self._jacobian: Linearization = surrogate.linearize(sigma, len(end))
        self.start = self._without_network()

    def __call__(self, X: Float[Tensor, "b T C H W"], rows: Int[Tensor, " b"], /) -> Float[Tensor, "b T C H W"]:
        """X: adjoints a_{T-1}..a_0 of the images `rows`. Returns their next values."""
        T, k = self.sampler.chain.steps, self.calls
        if k == T:
            return torch.stack([adjoint[rows] for adjoint in self._done], 1)
        old = torch.cat([self._exact[rows, None], X[:, k : T - 1]], 1)
        sampler = self.sampler.take(rows)
        pulled, seed, through = (part.flip(1) for part in pull(sampler, self._states[rows, : T - k], old.flip(1), 0))
        new = [pulled[:, 0]]
        for j in range(1, T - k):
            change = new[-1] - old[:, j]
            new.append(pulled[:, j] + self._carried(k + j, rows, change, seed[:, j], through[:, j]))
        self._exact = self._exact.clone()
        self._exact[rows] = new[0]
        self._done.append(self._exact)
        self.calls += 1
        return torch.stack([*(adjoint[rows] for adjoint in self._done[:-1]), *new], 1)

    def _without_network(self) -> Float[Tensor, "B T C H W"]:
        """Carry `end` along the whole chain: the change from a chain without a loss, whose adjoints are 0."""
        T, rows = self.sampler.chain.steps, torch.arange(len(self._exact), device=self._exact.device)
        adjoint, nothing, found = self._exact, torch.zeros_like(self._exact), list[Tensor]()
        for k in range(T):
            adjoint = self._carried(k, rows, adjoint, nothing, nothing)
            found.append(adjoint)
        return torch.stack(found, 1)

    def _carried(self, k: int, rows: Tensor, change: Tensor, seed: Tensor, through: Tensor) -> Tensor:
        """Return M_i^T change for the position i of block k.

        Args:
            seed, through: Input and output of this round's vector-Jacobian product of the network.
        """
        i, sampler = self.sampler.chain.steps - 1 - k, self.sampler.take(rows)
        direct, to_predict = (part[:, 0] for part in _step_transposed(sampler, change[:, None], i))
        signal = sampler.steps(i, 1, like=change).signal
        du = to_predict / signal
        if k == len(self._units):
            self._units.append(EVIDENCE / _size(du))
        unit = self._units[k][rows]
        u, x0_hat = unit * seed / signal, self._states[rows, -1] + unit * through
        return direct + self._jacobian(k, rows, u, x0_hat, unit * du) / unit


class Pulled(NamedTuple):
    """Adjoints one step back, and the input and output of the network's vector-Jacobian products."""

    adjoint: Float[Tensor, "B K C H W"]
    seed: Float[Tensor, "B K C H W"]
    through: Float[Tensor, "B K C H W"]


def pull(sampler: Sampler, x: Tensor, adjoint: Tensor, first: int) -> Pulled:
    """Return (dx_{i+1}/dx_i)^T adjoint at the K states x at positions first.., a micro-batch at a time."""
    (B, K), most = x.shape[:2], sampler.denoiser_batch
    pulled = Pulled(*(torch.empty_like(x) for _ in range(3)))
    width = max(1, most // B)
    for rows in torch.split(torch.arange(B, device=x.device), most):
        some = sampler.take(rows)
        for left in range(0, K, width):
            block = (rows, slice(left, left + width))
            direct, seed = _step_transposed(some, adjoint[block], first + left)
            state = x[block].detach().requires_grad_()
            with torch.enable_grad():
                x0_hat = some.x0_hat(state, first + left)
            (through,) = torch.autograd.grad(x0_hat, state, seed)
            for whole, part in zip(pulled, (direct + through, seed, through), strict=True):
                whole[block] = part
    return pulled


def _step_transposed(sampler: Sampler, adjoint: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """Return dL/dx_i with x0_hat_i fixed, and dL/dx0_hat_i.

    A step is made of functions of A's singular values, V g(s) V^T, so each part of it is its own transpose. That also
    holds where A^+ is an iteration, through which autograd is wrong.
    """
    step, flat = sampler.steps(first, adjoint.shape[1], like=adjoint), adjoint.flatten(0, 1)
    nothing = torch.zeros_like(flat)
    return step.carried(flat, nothing).view_as(adjoint), step.carried(nothing, flat).view_as(adjoint)


def _size(v: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 1 1 1"]:
    """Return the root mean square of each image; 1 where it is 0."""
    size = v.flatten(1).square().mean(1).sqrt()[:, None, None, None]
    return torch.where(size > 0, size, 1.0)
