"""Whether a network denoises at all, which tells wrong assumptions about it from right ones."""

from __future__ import annotations

from typing import Final

import torch

from deqir.priors.prior import Prior
from deqir.sampling.schedule import alpha_bar_of

SIDE: Final = 64
NOISE: Final = 0.1


def remaining_noise(prior: Prior) -> float:
    """Return the share of noise that a prior leaves on a drawn test picture; 1 is no denoiser.

    The picture has a soft gradient and two discs with sharp edges, the noise a standard deviation of 0.1 for images
    in [0, 1]. FFDNet leaves 0.17, in the Euclidean norm.
    """
    axis = torch.linspace(-1, 1, SIDE)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    picture = 0.4 * x - 0.3 * y
    picture = torch.where((x - 0.2) ** 2 + y**2 < 0.3, 0.6 - picture, picture)
    picture = torch.where((x + 0.5) ** 2 + (y - 0.4) ** 2 < 0.1, picture - 0.5, picture)
    clean = torch.stack([picture, 0.8 * picture + 0.1, 0.7 * picture - 0.1])[None].clamp(-1, 1)
    sigma = torch.tensor([2 * NOISE], dtype=torch.float64)
    alpha_bar = alpha_bar_of(sigma)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    root, spread = alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float()
    with torch.inference_mode():
        eps = prior((root * clean + spread * noise).to(prior.device), alpha_bar.to(prior.device)).cpu()
    return float((eps - noise).norm() / noise.norm())
