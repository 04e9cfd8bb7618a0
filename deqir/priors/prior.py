"""A network that knows images, with its name, its digest and its limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deqir.hardware.cuda_graphs import GraphedDenoiser
from deqir.networks.padding import reflected
from deqir.pretrained.download import ModelError
from deqir.protocols import Denoiser, LinearOperator
from deqir.shapes import Float

from .starters.starters import Starters


class PriorError(ModelError):
    """A prior is missing, altered, or not what the caller needs; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """A `Denoiser` that takes images of any size.

    Attributes:
        name: What the user calls it.
        digest: SHA-256 of its weights, in hex.
        denoiser: The network.
        device: Where its weights are.
        multiple: The network needs sides divisible by this; others are padded, and cropped again.
        max_noise: Strongest noise it was trained for, as a standard deviation of images in [0, 1].
        channels: Of the images that it restores; None: any number.
        native: Side in pixels of the images that it is bound to, where it is; larger ones are given to it in tiles.
        replicas: Devices among which it divides its work; `deqir.priors.replicas.replicate` makes several.
        starters: Networks that make what chains start from, if it comes with some; on `device`, too.
    """

    name: str
    digest: str
    denoiser: Denoiser
    device: torch.device
    multiple: int
    max_noise: float
    channels: int | None = None
    native: int | None = None
    replicas: int = 1
    starters: Starters | None = None

    def __call__(self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /) -> Float[Tensor, "N C H W"]:
        height, width = x_t.shape[-2:]
        wide = reflected(x_t, -height % self.multiple, -width % self.multiple)
        return self.denoiser(wide, alpha_bar)[..., :height, :width]

    def makes_start(self, A: LinearOperator) -> bool:
        """Return whether it makes what chains for A start from."""
        return self.starters is not None and self.starters.skills.makes_start(A)

    def check_noise(self, noise: float) -> None:
        """Raise PriorError if the prior was not trained for noise this strong."""
        refuse_beyond(self.max_noise, noise, prior=self.name)


def captured(prior: Prior) -> Prior:
    """Return a prior on CUDA that has its network's small calls recorded; one on another device as it is."""
    if prior.device.type != "cuda" or isinstance(prior.denoiser, GraphedDenoiser):
        return prior
    return replace(prior, denoiser=GraphedDenoiser(prior.denoiser))


def refuse_beyond(max_noise: float, noise: float, *, prior: str) -> None:
    """Raise PriorError if noise is stronger than the strongest that the prior of this name was trained for."""
    if noise > max_noise * (1 + 1e-6):
        raise PriorError(
            f"prior {prior!r} knows noise up to {max_noise:.3f} (images in [0, 1]), but the chain would start at "
            f"{noise:.3f}; choose a smaller start noise or another prior"
        )
