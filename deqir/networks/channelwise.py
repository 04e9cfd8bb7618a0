"""A prior for grey images, applied to images of several channels."""

from __future__ import annotations

from torch import Tensor

from deqir.protocols import Denoiser
from deqir.shapes import Float


class Channelwise:
    """A `Denoiser` of one channel, applied to each channel of an image by itself.

    It makes no use of the likeness of channels: for colour images a prior for colour is better.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser

    def __call__(self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /) -> Float[Tensor, "N C H W"]:
        single = x_t.flatten(0, 1)[:, None]
        return self.denoiser(single, alpha_bar.repeat_interleave(x_t.shape[1])).view_as(x_t)
