"""DRUNet, a plain denoiser for images of any size and noise of a wide range."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from deqir.hardware.fused_convolution import rectified
from deqir.shapes import Float

HALVINGS: Final = 3


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), without biases."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: Float[Tensor, "N F H W"]) -> Float[Tensor, "N F H W"]:
        correction: Tensor = self.second(rectified(self.first, x))
        return x + correction


class DRUNet(nn.Module):
    """The denoiser of Zhang et al. (2021), https://arxiv.org/abs/2008.13751, section III.

    A UNet of residual blocks, its scales joined by sums; the noise level is an additional input plane.
    Images in [0, 1]; sides must be divisible by `multiple`.

    Args:
        width: Channels of the finest scale; each coarser scale has twice as many.
        blocks: Residual blocks of each scale, on the way down and on the way up.
    """

    multiple: Final = 2**HALVINGS

    def __init__(self, *, channels: int = 3, width: int = 64, blocks: int = 4) -> None:
        super().__init__()
        widths = [width * 2**scale for scale in range(HALVINGS + 1)]
        self.head = nn.Conv2d(channels + 1, width, 3, padding=1, bias=False)
        self.down = nn.ModuleList(_blocks(w, blocks) for w in widths[:-1])
        self.narrow = nn.ModuleList(nn.Conv2d(w, 2 * w, 2, stride=2, bias=False) for w in widths[:-1])
        self.body = _blocks(widths[-1], blocks)
        self.widen = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2, bias=False) for w in widths[:-1])
        self.up = nn.ModuleList(_blocks(w, blocks) for w in widths[:-1])
        self.tail = nn.Conv2d(width, channels, 3, padding=1, bias=False)

    def forward(self, image: Float[Tensor, "N C H W"], noise: Float[Tensor, " N"]) -> Float[Tensor, "N C H W"]:
        plane = noise[:, None, None, None].expand(-1, 1, *image.shape[-2:])
        passed = [self.head(torch.cat([image, plane], 1))]
        for blocks, narrow in zip(self.down, self.narrow, strict=True):
            passed.append(narrow(blocks(passed[-1])))
        h = self.body(passed[-1])
        for scale in reversed(range(HALVINGS)):
            h = self.up[scale](self.widen[scale](h + passed[scale + 1]))
        denoised: Tensor = self.tail(h + passed[0])
        return denoised


def _blocks(width: int, number: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(number)))
