"""The chain of a batch of images: its first state, its step, and the sequential sampler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deqir.protocols import Denoiser, LinearOperator
from deqir.shapes import Float, Int

from .chain import Chain
from .step import Step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sampler:
    """The chain of a batch of images: everything a step needs but the state.

    One step from position i to i + 1, with e_i = eps_theta(x_i), equations (4) to (6):
        x0_hat  = (x_i - sqrt(1 - alpha_bar_i) e_i) / sqrt(alpha_bar_i)
        x_tilde = A^+ y + (I - A^+ A) x0_hat
        x_{i+1} = sqrt(alpha_bar_{i+1}) x_tilde + c1_i z_i + c2_i e_i
    and with noise in y the equations of `Step`.

    Attributes:
        denoiser: Noise predictor eps_theta.
        pinv_y: A^+ y of each image, shape (B, C, H, W).
        start: The image each chain starts from, before noise, shape (B, C, H, W).
        guess: First guess of a parallel solve at the data predictions, shape (B, C, H, W); None: the start.
        sigma_y: Standard deviation of the noise in y, images in [-1, 1], shape (B,); None: y is exact.
        noise: Standard normal noise: the start's, then z_0..z_{T-1}, shape (B, T + 1, C, H, W).
        denoiser_batch: Most images x positions in one call of the denoiser; bounds memory, not results.

    References:
        DDNM (Wang et al., 2023), https://arxiv.org/abs/2212.00490, algorithm 1
        DeqIR (Cao et al., 2024), https://arxiv.org/abs/2311.11600, section 3
    """

    denoiser: Denoiser
    A: LinearOperator
    chain: Chain
    pinv_y: Float[Tensor, "B C H W"]
    start: Float[Tensor, "B C H W"]
    noise: Float[Tensor, "B positions C H W"]
    denoiser_batch: int = 16
    guess: Float[Tensor, "B C H W"] | None = None
    sigma_y: Float[Tensor, " B"] | None = None

    def take(self, rows: Int[Tensor, " b"]) -> Sampler:
        """Return the sampler of some of the images."""
        if len(rows) == len(self.start):
            return self
        return replace(
            self,
            pinv_y=self.pinv_y[rows],
            start=self.start[rows],
            noise=self.noise[rows],
            guess=None if self.guess is None else self.guess[rows],
            sigma_y=None if self.sigma_y is None else self.sigma_y[rows],
        )

    def initial(self) -> Float[Tensor, "B C H W"]:
        """Return the state at position 0 (7): the start plus noise of the first level."""
        alpha_bar = self.chain.alpha_bar[0]
        return float(alpha_bar.sqrt()) * self.start + float((1 - alpha_bar).sqrt()) * self.noise[:, 0]

    def x0_hat(self, x: Float[Tensor, "B K C H W"], first: int) -> Float[Tensor, "B K C H W"]:
        """Return the data prediction of K states at positions first..first+K-1; the only network calls."""
        B, K = x.shape[:2]
        rows, levels = x.flatten(0, 1), self.chain.levels(first, K, x.device).repeat(B)
        batch = self.denoiser_batch
        parts = zip(torch.split(rows, batch), torch.split(levels, batch), strict=True)
        eps = torch.cat([self.denoiser(part, level) for part, level in parts])
        return self.steps(first, K, like=x).x0_hat(rows, eps).view_as(x)

    def steps(self, first: int, K: int, *, like: Tensor) -> Step:
        """Return the steps from positions first..first+K-1 of each image, images outermost."""
        B = len(self.start)
        sigma_y = None if self.sigma_y is None else self.sigma_y.repeat_interleave(K)
        return Step.at(self.chain, list(range(first, first + K)) * B, A=self.A, sigma_y=sigma_y, like=like)

    def step(
        self, x: Float[Tensor, "B K C H W"], x0_hat: Float[Tensor, "B K C H W"], first: int
    ) -> Float[Tensor, "B K C H W"]:
        """Return the states one step on from positions first..first+K-1, given their data predictions."""
        K = x.shape[1]
        step, flat = self.steps(first, K, like=x), x0_hat.flatten(0, 1)
        z = self.noise[:, first + 1 : first + K + 1].flatten(0, 1)
        pinv_y = self.pinv_y.repeat_interleave(K, 0)
        return step(flat, step.eps(x.flatten(0, 1), flat), pinv_y=pinv_y, z=z).view_as(x)

    def sequential(self, x: Float[Tensor, "B C H W"]) -> Iterator[Float[Tensor, "B C H W"]]:
        """Yield the states after x, the state at position 0, one network call a step."""
        for i in range(self.chain.steps):
            here = x[:, None]
            x = self.step(here, self.x0_hat(here, i), i)[:, 0]
            yield x

    def end(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return the last state of the chain whose state at position 0 is x."""
        *_, last = self.sequential(x)
        return last

    def guessed(self, x: Float[Tensor, "B C H W"], i: int) -> Float[Tensor, "B C H W"]:
        """Return the state after x, at position i, of the chain whose data prediction is the guess, as it is."""
        guess = self.start if self.guess is None else self.guess
        step = self.steps(i, 1, like=x)
        return step.next_signal * guess + step.c1 * self.noise[:, i + 1] + step.c2 * step.eps(x, guess)

    def frozen(self) -> Float[Tensor, "B T C H W"]:
        """Return states 1..T of the chain whose data predictions are all the guess, without the network."""
        x, states = self.initial(), list[Tensor]()
        for i in range(self.chain.steps):
            x = self.guessed(x, i)
            states.append(x)
        return torch.stack(states, 1)
