"""FFDNet, and plain denoisers of an image with a known noise level as priors."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.hardware.fused_convolution import rectified
from deqir.sampling.schedule import sigma_of
from deqir.shapes import Float


class FFDNet(nn.Module):
    """The denoiser of Zhang et al. (2018), https://arxiv.org/abs/1710.04026.

    `depth` 3 x 3 convolutions of `width` channels on the image unshuffled by 2 and a plane filled with the
    noise level. Images in [0, 1]; sides must be divisible by `multiple`.
    """

    multiple: Final = 2

    def __init__(self, *, channels: int = 3, width: int = 96, depth: int = 12) -> None:
        super().__init__()
        sides = [4 * channels + 1, *[width] * (depth - 1), 4 * channels]
        layers = list[nn.Module]()
        for before, after in pairwise(sides):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]  # the latter for the weights' published names
        self.model = nn.Sequential(*layers[:-1])

    def forward(self, image: Float[Tensor, "N C H W"], noise: Float[Tensor, " N"]) -> Float[Tensor, "N C H W"]:
        h = functional.pixel_unshuffle(image, 2)
        plane = noise[:, None, None, None].expand(-1, 1, *h.shape[-2:])
        *hidden, last = (layer for layer in self.model if isinstance(layer, nn.Conv2d))
        h = torch.cat([h, plane], 1)
        for layer in hidden:
            h = rectified(layer, h)
        return functional.pixel_shuffle(last(h), 2)


class DenoiserPrior:
    """Any denoiser D(image, noise) of white Gaussian noise on [0, 1] images, as a `Denoiser`.

    x0_hat = D(x_t / sqrt(alpha_bar), sigma), and eps follows from x0_hat. The network gets the noise level cut at
    `max_noise`.

    Args:
        network: Called with images in [0, 1] and a standard deviation for each image.
        max_noise: Strongest noise in the network's training.
    """

    def __init__(self, network: nn.Module, *, max_noise: float) -> None:
        self.network = network
        self.max_noise = max_noise

    def __call__(self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /) -> Float[Tensor, "N C H W"]:
        root = alpha_bar.sqrt().to(x_t)[:, None, None, None]
        sigma = sigma_of(alpha_bar)
        u = x_t / root
        noise = (sigma / 2).clamp(max=self.max_noise).to(x_t)  # [0, 1] is half as wide as [-1, 1]
        x0_hat: Tensor = self.network((u + 1) / 2, noise) * 2 - 1
        return (u - x0_hat) / sigma.to(x_t)[:, None, None, None]
