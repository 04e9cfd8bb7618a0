"""A small nonlinear denoiser, the operators and a sampler over both, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from deqir import Chain, operators
from deqir.defaults import Defaults
from deqir.protocols import Denoiser, LinearOperator
from deqir.sampling.sampler import Sampler

HEIGHT, WIDTH = 8, 12
KEEP = torch.rand(HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) > 0.4
OPERATORS: dict[str, LinearOperator] = {
    "sr2": operators.SuperResolution(scale=2),
    "sr4": operators.SuperResolution(scale=4),
    "inpaint": operators.Inpainting(keep=KEEP),
    "colorize": operators.Colorization(),
}


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def toy_denoiser(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """A nonlinear, level-dependent denoiser with coupled pixels and channels: any mistake in wiring shows."""
    drift = alpha_bar.to(x_t)[:, None, None, None]
    return 0.4 * x_t + 0.3 * torch.tanh(x_t.roll(1, -1) - x_t.flip(1) + drift)


class Counting:
    """A denoiser that notes the number of rows of each call."""

    def __init__(self, denoiser: Denoiser = toy_denoiser) -> None:
        self.denoiser, self.rows = denoiser, list[int]()

    def __call__(self, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        self.rows.append(len(x_t))
        return self.denoiser(x_t, alpha_bar)


def make_sampler(
    A: LinearOperator,
    *,
    steps: int = 6,
    eta: float = 0.85,
    images: int = 2,
    denoiser: Denoiser = toy_denoiser,
    start_noise: float = 0.3,
    sigma_y: float = 0.0,
    kappa: tuple[float, float] | None = Defaults.KAPPA,
    shape: tuple[int, int, int] = (3, HEIGHT, WIDTH),
) -> Sampler:
    """A chain over `images` random images."""
    y = A(rand(images, *shape, seed=3).clamp(-1, 1))
    start = A.start(y)
    return Sampler(
        denoiser=denoiser,
        A=A,
        chain=Chain.between(start_noise, 6 / 255, steps=steps, eta=eta, kappa=kappa),
        pinv_y=A.pinv(y),
        start=start,
        guess=A.guess(y),
        sigma_y=torch.full((images,), sigma_y, dtype=torch.float64) if sigma_y else None,
        noise=rand(images, steps + 1, *start.shape[1:], seed=4),
    )
