"""Colorization: only the grey value of each pixel is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from deqir.linalg.spectral import two_valued
from deqir.protocols import Gain
from deqir.shapes import Float

REC_601 = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True, kw_only=True)
class Colorization:
    """y has a single channel, the weighted sum of x's three channels.

    Attributes:
        weights: Weights of red, green and blue, summing to 1. Most software makes grey images with the default,
            Rec. 601 luma; DDNM uses (1/3, 1/3, 1/3).
    """

    weights: tuple[float, float, float] = REC_601
    start_noise: float = 75 / 255

    def __post_init__(self) -> None:
        if abs(sum(self.weights) - 1) > 1e-6:
            raise ValueError(f"the weights of red, green and blue must sum to 1, got {self.weights}")

    @property
    def singular_value(self) -> float:
        """The only singular value besides 0: the length of the vector of weights."""
        return math.hypot(*self.weights)

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        channels, height, width = y_shape[-3:]
        if channels != 1:
            raise ValueError(f"Colorization starts from 1 grey channel, got {channels}; pass only 1 of them")
        return 3, height, width

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B 1 H W"]:
        if x.shape[1] != 3:
            raise ValueError(f"Colorization needs images of 3 channels, got {x.shape[1]}")
        return (x * self._column(x)).sum(1, keepdim=True)

    def adjoint(self, y: Float[Tensor, "B c H W"], /) -> Float[Tensor, "B 3 H W"]:
        self.image_shape(y.shape)
        return y * self._column(y)

    def pinv(self, y: Float[Tensor, "B c H W"], /) -> Float[Tensor, "B 3 H W"]:
        return self.adjoint(y) / sum(w**2 for w in self.weights)

    def start(self, y: Float[Tensor, "B c H W"], /) -> Float[Tensor, "B 3 H W"]:
        """Return the grey image, the same value in all channels: the weights sum to 1, so it agrees with y."""
        self.image_shape(y.shape)
        return y.expand(-1, 3, -1, -1).clone()

    guess = start

    def filter(self, v: Float[Tensor, "B 3 H W"], gain: Gain, /) -> Float[Tensor, "B 3 H W"]:
        return two_valued(self, v, gain, self.singular_value)

    def _column(self, like: Tensor) -> Tensor:
        return _column(self.weights, like.dtype, like.device)


@lru_cache(maxsize=8)
def _column(weights: tuple[float, float, float], dtype: torch.dtype, device: torch.device) -> Float[Tensor, "3 1 1"]:
    with torch.inference_mode(False):  # the next caller of a cached tensor may want gradients
        return torch.tensor(weights, dtype=dtype, device=device)[:, None, None]
