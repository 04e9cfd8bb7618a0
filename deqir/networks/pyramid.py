"""A denoiser for weak and strong noise: FFDNet at several scales, with a learned correction at each."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.shapes import Float

from .ffdnet import FFDNet

FFDNET_NOISE: Final = 75 / 255
"""Strongest noise in FFDNet's training, as a standard deviation of images in [0, 1]."""
FFDNET_WIDTH: Final = 96


class Scale(NamedTuple):
    """The output of one scale: the denoised image, and the features for the next finer scale."""

    image: Float[Tensor, "N C H W"]
    features: Float[Tensor, "N F H2 W2"]


class Corrector(nn.Module):
    """Residual blocks of 3 x 3 convolutions on an image unshuffled by 2; the correction begins as 0.

    Args:
        blocks: Number of blocks, two convolutions each.
    """

    def __init__(self, *, inputs: int, outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
            for _ in range(blocks)
        )
        self.last = nn.Conv2d(width, outputs, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, inputs: Float[Tensor, "N F H W"]) -> tuple[Float[Tensor, "N O H W"], Float[Tensor, "N G H W"]]:
        h = self.first(inputs)
        for block in self.blocks:
            h = h + block(functional.relu(h))
        h = functional.relu(h)
        return self.last(h), h


class PyramidDenoiser(nn.Module):
    """Denoises an image with the help of its own denoised, half as large version, and so on down.

    The mean of a 2 x 2 block carries half the noise, so after `levels` - 1 halvings FFDNet can remove even noise of
    several times the image's range. Where a scale's noise sigma exceeds `FFDNET_NOISE`, FFDNet is given
    estimate + w (image - estimate) with w = FFDNET_NOISE / sigma and the estimate from the coarser scale: its noise
    is FFDNET_NOISE again. A corrector then reads FFDNet's input, last features and output, and the coarser scale's
    estimate and features; it adds details missed by FFDNet.

    Images in [0, 1]; sides must be divisible by `multiple`. With untrained correctors the network equals FFDNet
    for noise up to `FFDNET_NOISE`.

    Args:
        width, blocks: Size of the finest scale's corrector.
        coarse_width, coarse_blocks: Size of the other correctors.
        levels: Number of scales, the full size included.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 64,
        blocks: int = 3,
        coarse_width: int = 96,
        coarse_blocks: int = 4,
        levels: int = 5,
    ) -> None:
        super().__init__()
        self.ffdnet = FFDNet(channels=channels, width=FFDNET_WIDTH)
        correctors = list[nn.Module]()
        for level in range(levels):
            coarsest = level == levels - 1
            correctors.append(
                Corrector(
                    inputs=FFDNET_WIDTH + 8 * channels + 2 + (0 if coarsest else 4 * channels + coarse_width),
                    outputs=4 * channels,
                    width=coarse_width if level else width,
                    blocks=coarse_blocks if level else blocks,
                )
            )
        self.correctors = nn.ModuleList(correctors)
        self.multiple = 2**levels
        self.max_noise = FFDNET_NOISE * 2 ** (levels - 1)

    def forward(self, image: Float[Tensor, "N C H W"], noise: Float[Tensor, " N"]) -> Float[Tensor, "N C H W"]:
        return self.scales(image, noise)[0]

    def scales(
        self, image: Float[Tensor, "N C H W"], noise: Float[Tensor, " N"], *, first: int = 0
    ) -> list[Float[Tensor, "N C _H _W"]]:
        """Return the denoised image at full size, at half of it, and so on.

        Args:
            image: Noisy image in [0, 1].
            noise: Its standard deviation.
            first: Scale of `image`; finer scales are left out.
        """
        images = [image]
        for _ in range(len(self.correctors) - 1 - first):
            images.append(functional.avg_pool2d(images[-1], 2))
        found = list[Scale]()
        for halvings in reversed(range(len(images))):
            below = found[-1] if found else None
            found.append(self._scale(first + halvings, images[halvings], noise / 2**halvings, below))
        return [scale.image for scale in reversed(found)]

    def _scale(self, level: int, noisy: Tensor, noise: Tensor, below: Scale | None) -> Scale:
        weight = (FFDNET_NOISE / noise).clamp(max=1)[:, None, None, None]
        known = noise.clamp(max=FFDNET_NOISE)[:, None, None, None]
        estimate = noisy
        if below is not None:
            estimate = functional.interpolate(below.image, scale_factor=2, mode="bilinear", align_corners=False)
        drawn = functional.pixel_unshuffle(torch.lerp(estimate, noisy, weight), 2)
        planes = [p.expand(-1, 1, *drawn.shape[-2:]) for p in (known, weight)]
        with torch.autocast(noisy.device.type, enabled=False):  # half's rounding shows at weak noise
            thoughts = self.ffdnet.model[:-1](torch.cat([drawn, planes[0]], 1))
            said = self.ffdnet.model[-1](thoughts)
        read = [thoughts, said, (drawn - said) / known, *planes]
        if below is not None:
            read.append((functional.pixel_unshuffle(estimate, 2) - said) / known)
            read.append(functional.interpolate(below.features.to(noisy), scale_factor=2, mode="nearest"))
        correction, features = self.correctors[level](torch.cat([part.to(noisy) for part in read], 1))
        return Scale(functional.pixel_shuffle(said + known * correction.to(noisy), 2), features)
