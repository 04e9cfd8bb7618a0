"""The loss: the logarithm of the squared error, over noise levels drawn where the chains spend steps."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.networks.pyramid import PyramidDenoiser

WEAK: Final = (0.008, 0.5)
STRONG: Final = (0.5, 4.0)
COARSE: Final = (0.05, 4.0)
STRONG_SHARE: Final = 0.2
COARSE_WEIGHT: Final = 0.15
"""Weight of each coarser scale's own error, relative to the full scale's error."""
COARSE_NOISE: Final = 0.01
"""Least noise for a coarser scale's error to count; with less there is nothing to learn."""


def draw_noise(count: int, generator: torch.Generator, *, first: int = 0) -> Tensor:
    """Return standard deviations for images in [0, 1], uniform in their logarithm.

    At the full scale they are within each of two ranges; at a coarser scale trained alone, within `COARSE` less the
    noise taken away by pooling.
    """
    if first:
        return _within(COARSE, torch.rand(count, generator=generator)) / (1 << first)
    strong = torch.rand(count, generator=generator) < STRONG_SHARE
    place = torch.rand(count, generator=generator)
    return torch.where(strong, _within(STRONG, place), _within(WEAK, place))


def _within(ends: tuple[float, float], place: Tensor) -> Tensor:
    return ends[0] * (place * math.log(ends[1] / ends[0])).exp()


class Objective(nn.Module):
    """The loss of a network, a module in order to be wrapped for several devices.

    The mean over samples of log(MSE) lets every noise level weigh the same. Each coarser scale is held to the
    pooled image in the same way, with a smaller weight.
    """

    def __init__(self, network: PyramidDenoiser) -> None:
        super().__init__()
        self.network = network

    def forward(self, clean: Tensor, white: Tensor, sigma: Tensor, first: int = 0) -> Tensor:
        """Return the loss of denoising clean + sigma white, images at the network's scale `first`."""
        device = clean.device.type
        with torch.autocast(device, torch.bfloat16):
            found = self.network.scales(clean + sigma[:, None, None, None] * white, sigma, first=first)
        loss = log_error(found[0], clean).mean()
        target = clean
        for level, coarse in enumerate(found[1:], 1):
            target = functional.avg_pool2d(target, 2)
            counts = (sigma / 2**level > COARSE_NOISE).to(sigma)
            loss = loss + COARSE_WEIGHT * (log_error(coarse, target) * counts).mean()
        return loss


def log_error(found: Tensor, target: Tensor) -> Tensor:
    """Return the logarithm of each sample's mean squared error."""
    return torch.log((found.float() - target).square().flatten(1).mean(1) + 1e-7)
