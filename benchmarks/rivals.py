"""The engine's rivals, written by hand for the same network, chain, noise and operator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deqir import Chain
from deqir.protocols import Denoiser, LinearOperator
from deqir.sampling.noise import chain_noise
from deqir.sampling.sampler import Sampler


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Degraded images of one size.

    Attributes:
        y: Shape (B, c, h, w).
        A: Their degradation.
        seeds: Seed of each image's noise.
    """

    y: Tensor
    A: LinearOperator
    seeds: tuple[int, ...]


def loop_by_hand(denoiser: Denoiser, problem: Problem, chain: Chain) -> Tensor:
    """Return the ends of the sequential chains of a batch: the plainest loop there is."""
    A, y = problem.A, problem.y
    start, known = A.start(y), A.pinv(y)
    noise = chain_noise(problem.seeds, start.shape[1:], chain.steps, dtype=y.dtype, device=y.device)
    a, c1, c2 = chain.alpha_bar.tolist(), chain.c1.tolist(), chain.c2.tolist()
    x = a[0] ** 0.5 * start + (1 - a[0]) ** 0.5 * noise[:, 0]
    for i in range(chain.steps):
        eps = denoiser(x, torch.full((len(x),), a[i], dtype=torch.float64, device=x.device))
        clean = (x - (1 - a[i]) ** 0.5 * eps) / a[i] ** 0.5
        clean = known + clean - A.pinv(A(clean))
        x = a[i + 1] ** 0.5 * clean + c1[i] * noise[:, i + 1] + c2[i] * eps
    end: Tensor = x
    return end


def paradigms(sampler: Sampler, *, window: int, tolerance: float) -> tuple[Tensor, int]:
    """Return the end of one image's chain by ParaDiGMS, and its rounds.

    A window of Picard rounds in the form x_{i+1} <- x_i + (f_i(x_i) - x_i), which slides past the states whose
    mean squared change is at most tolerance^2 of the variance of the step's fresh noise. The last step has no
    noise; it takes the variance of the one before. Here f_i is the null-space step.

    References:
        Shih et al. (2023), https://arxiv.org/abs/2305.16317, algorithm 1
    """
    T, rounds, frontier = sampler.chain.steps, 0, 0
    variance = sampler.chain.c1.square()
    variance = torch.cat([variance[:-1], variance[-2:-1]]) if T > 1 else variance
    states = [sampler.initial()] * (min(window, T) + 1)
    while frontier < T:
        rounds += 1
        old = torch.stack(states[:-1], 1)
        drift = sampler.step(old, sampler.x0_hat(old, frontier), frontier) - old
        new = states[0][:, None] + drift.cumsum(1)
        change = (new - torch.stack(states[1:], 1)).square().flatten(2).mean(2)[0]
        still = (change.double() <= tolerance**2 * variance[frontier : frontier + len(change)]).long().cumprod(0).sum()
        slide = max(1, int(still))
        states = [states[0], *torch.unbind(new, 1)][slide:]
        frontier += slide
        states += [states[-1]] * (min(window, T - frontier) + 1 - len(states))
    return states[0], rounds
