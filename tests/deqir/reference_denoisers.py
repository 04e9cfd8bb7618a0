"""KAIR's denoisers once more, in plain torch and independent of deqir, with the names of their checkpoints.

DRUNet after Zhang et al. (2021), FFDNet after Zhang et al. (2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.deqir.reference_networks import named


class Res(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.res = named(
            _0=nn.Conv2d(width, width, 3, padding=1, bias=False), _2=nn.Conv2d(width, width, 3, padding=1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.res["2"](self.res["0"](x).relu())


class Drunet(nn.Module):
    """DRUNet: its input is the image and a plane of the noise level."""

    def __init__(self, *, channels: int = 3, width: int = 8, blocks: int = 2) -> None:
        super().__init__()

        def many(w: int) -> list[nn.Module]:
            return [Res(w) for _ in range(blocks)]

        w1, w2, w3, w4 = (width * factor for factor in (1, 2, 4, 8))
        self.m_head = nn.Conv2d(channels + 1, w1, 3, padding=1, bias=False)
        self.m_down1 = nn.Sequential(*many(w1), nn.Conv2d(w1, w2, 2, stride=2, bias=False))
        self.m_down2 = nn.Sequential(*many(w2), nn.Conv2d(w2, w3, 2, stride=2, bias=False))
        self.m_down3 = nn.Sequential(*many(w3), nn.Conv2d(w3, w4, 2, stride=2, bias=False))
        self.m_body = nn.Sequential(*many(w4))
        self.m_up3 = nn.Sequential(nn.ConvTranspose2d(w4, w3, 2, stride=2, bias=False), *many(w3))
        self.m_up2 = nn.Sequential(nn.ConvTranspose2d(w3, w2, 2, stride=2, bias=False), *many(w2))
        self.m_up1 = nn.Sequential(nn.ConvTranspose2d(w2, w1, 2, stride=2, bias=False), *many(w1))
        self.m_tail = nn.Conv2d(w1, channels, 3, padding=1, bias=False)

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        plane = noise.view(-1, 1, 1, 1) * torch.ones_like(image[:, :1])
        fine = self.m_head(torch.cat([image, plane], 1))
        half = self.m_down1(fine)
        quarter = self.m_down2(half)
        eighth = self.m_down3(quarter)
        h = self.m_body(eighth) + eighth
        h = self.m_up3(h) + quarter
        h = self.m_up2(h) + half
        return self.m_tail(self.m_up1(h) + fine)


def ffdnet(*, channels: int, width: int, depth: int) -> nn.ModuleDict:
    """FFDNet's layers by the names of its checkpoints; `ffdnet_denoise` applies them."""
    sides = [4 * channels + 1, *[width] * (depth - 1), 4 * channels]
    layers = {str(2 * n): nn.Conv2d(sides[n], sides[n + 1], 3, padding=1) for n in range(depth)}
    return nn.ModuleDict({"model": nn.ModuleDict(layers)})


def ffdnet_denoise(network: nn.ModuleDict, image: Tensor, noise: Tensor) -> Tensor:
    """Return FFDNet's output: the four pixels of each 2 x 2 block become channels, and pixels again at the end."""
    n, c, height, width = image.shape
    h = image.view(n, c, height // 2, 2, width // 2, 2).permute(0, 1, 3, 5, 2, 4)
    h = h.reshape(n, 4 * c, height // 2, width // 2)
    h = torch.cat([h, noise.view(-1, 1, 1, 1) * torch.ones_like(h[:, :1])], 1)
    layers = list(network["model"].values())  # type: ignore[operator]
    for layer in layers[:-1]:
        h = layer(h).relu()
    h = layers[-1](h).view(n, c, 2, 2, height // 2, width // 2).permute(0, 1, 4, 2, 5, 3)
    return h.reshape(n, c, height, width)
