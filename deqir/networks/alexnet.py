"""The convolutional layers of AlexNet: features of the content of an image, place by place."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.hardware.fused_convolution import rectified
from deqir.shapes import Float

WIDTHS: Final = (64, 192, 384, 256, 256)
"""Channels of each layer."""


def trunk() -> nn.ModuleList:
    """Return AlexNet's convolutions with random weights."""
    return nn.ModuleList(
        [
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.Conv2d(256, 256, 3, padding=1),
        ]
    )


def features(convolutions: nn.ModuleList, x: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
    """Return the output of each layer for images in [-1, 1], at least 31 pixels a side; see `WIDTHS`."""
    x = standardised(x)
    found = list[Tensor]()
    for layer, convolution in enumerate(convolutions):
        if layer in (1, 2):
            x = functional.max_pool2d(x, 3, stride=2)
        assert isinstance(convolution, nn.Conv2d)
        x = rectified(convolution, x)
        found.append(x)
    return found


def standardised(x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Return images in [-1, 1] with mean and spread as in the training of networks for ImageNet."""
    shift, scale = _usual(x.dtype, x.device)
    return (x - shift) / scale


@lru_cache(maxsize=8)
def _usual(dtype: torch.dtype, device: torch.device) -> tuple[Float[Tensor, "3 1 1"], Float[Tensor, "3 1 1"]]:
    """Return the mean and the spread of each channel in the training images, images in [-1, 1]."""
    with torch.inference_mode(False):  # the next caller of a cached tensor may want gradients
        shift = torch.tensor([-0.030, -0.088, -0.188], dtype=dtype, device=device)
        scale = torch.tensor([0.458, 0.448, 0.450], dtype=dtype, device=device)
        return shift[:, None, None], scale[:, None, None]
