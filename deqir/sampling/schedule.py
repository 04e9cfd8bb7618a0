"""The variance-preserving noise schedule a network was trained with, and its view as noise levels sigma."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from deqir.linalg.device_constant import Constant
from deqir.shapes import Float, Int


def sigma_of(alpha_bar: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Return the noise level sigma of x_t / sqrt(alpha_bar) = x_0 + sigma eps, for x_0 in [-1, 1]."""
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def alpha_bar_of(sigma: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Return the inverse of `sigma_of`: alpha_bar = 1 / (1 + sigma^2)."""
    return 1 / (1 + sigma**2)


@dataclass(frozen=True, slots=True, eq=False)
class NoiseSchedule:
    """x_t = sqrt(alpha_bar[t]) x_0 + sqrt(1 - alpha_bar[t]) eps for t = 0..T_train, in float64.

    Index t counts noising steps: t = 0 is the clean image, alpha_bar[0] = 1. Published checkpoints count from
    the first noisy level instead; `UNetPrior` subtracts one, nobody else does.

    Raises:
        ValueError: alpha_bar does not fall strictly from 1 towards 0.
    """

    alpha_bar: Float[Tensor, " levels"]
    _known: Constant = field(init=False, repr=False)

    def __post_init__(self) -> None:
        a = self.alpha_bar
        falls = len(a) > 1 and float(a[0]) == 1 and bool((a.diff() < 0).all()) and float(a[-1]) > 0
        if a.dtype != torch.float64 or not falls:
            raise ValueError("alpha_bar must be float64, start at exactly 1 and fall strictly, staying above 0")
        object.__setattr__(self, "_known", Constant(self.sigma[1:].log()))

    @classmethod
    def from_betas(cls, beta: Float[Tensor, " T"]) -> NoiseSchedule:
        """Return the schedule whose step t keeps the share 1 - beta[t - 1] of the signal's power."""
        kept = torch.cumprod(1 - beta.double(), 0)
        return cls(torch.cat([torch.ones(1, dtype=torch.float64), kept]))

    @classmethod
    def linear(cls, train_steps: int = 1000, *, beta_start: float = 1e-4, beta_end: float = 0.02) -> NoiseSchedule:
        """Return the schedule of DDPM (Ho et al., 2020, https://arxiv.org/abs/2006.11239, section 4)."""
        return cls.from_betas(torch.linspace(beta_start, beta_end, train_steps, dtype=torch.float64))

    @classmethod
    def scaled_linear(cls, train_steps: int = 1000, *, beta_start: float, beta_end: float) -> NoiseSchedule:
        """Return the schedule of latent diffusion: the roots of beta are linear."""
        return cls.from_betas(torch.linspace(beta_start**0.5, beta_end**0.5, train_steps, dtype=torch.float64) ** 2)

    @classmethod
    def cosine(cls, train_steps: int = 1000) -> NoiseSchedule:
        """Return the schedule of Nichol and Dhariwal (2021, https://arxiv.org/abs/2102.09672, equation 17)."""
        share = torch.linspace(0, 1, train_steps + 1, dtype=torch.float64)
        power = ((share + 0.008) / 1.008 * torch.pi / 2).cos() ** 2
        return cls.from_betas((1 - power[1:] / power[:-1]).clamp(max=0.999))

    @property
    def sigma(self) -> Float[Tensor, " levels"]:
        """Noise level of each t for images in [-1, 1]; sigma[0] = 0."""
        return sigma_of(self.alpha_bar)

    def timesteps(self, steps: int) -> Int[Tensor, " positions"]:
        """Return evenly spaced t from the noisiest level down to 0, length steps + 1."""
        last = len(self.alpha_bar) - 1
        if not 1 <= steps <= last:
            raise ValueError(f"steps must be in 1..{last} (the schedule's length), got {steps}")
        return torch.linspace(last, 0, steps + 1, dtype=torch.float64).round().long()

    def t_of(self, alpha_bar: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        """Return the real-valued t of each level in float64, linear in log sigma between two neighbours.

        Levels below t = 1 or above the last one give those ends. Computed on their device, without a wait.
        """
        known = self._known.on(alpha_bar.device, torch.float64)
        wanted = sigma_of(alpha_bar.double()).log().clamp(known[0], known[-1])
        right = torch.searchsorted(known, wanted).clamp(1, len(known) - 1)
        low, high = known[right - 1], known[right]
        return right + (wanted - low) / (high - low)
