"""A network for restoring images, with its name, its digest and its limits."""

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
    """A prior is missing, altered or unfit for the caller; the text names a remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """A `Denoiser` for images of any size.

    Attributes:
        name: Its name for the user.
        digest: SHA-256 of its weights, in hex.
        device: Device of its weights.
        multiple: The network needs sides divisible by this; other images are padded, and the result is cropped.
        max_noise: Strongest noise in its training, as a standard deviation of images in [0, 1].
        channels: Channels of the images to restore; None: any number.
        native: Side in pixels of its training images if it is bound to this size; larger images are cut into tiles.
        replicas: Number of devices sharing its work; `deqir.priors.replicas.replicate` makes several.
        starters: Its starter networks, on `device`, too; None without.
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
        """Return True if its networks make starts for A."""
        return self.starters is not None and self.starters.skills.makes_start(A)

    def check_noise(self, noise: float) -> None:
        """Raise PriorError if the prior was not trained for noise this strong."""
        refuse_beyond(self.max_noise, noise, prior=self.name)


def captured(prior: Prior) -> Prior:
    """Return a prior on CUDA with small network calls recorded; a prior on another device is returned unchanged."""
    if prior.device.type != "cuda" or isinstance(prior.denoiser, GraphedDenoiser):
        return prior
    return replace(prior, denoiser=GraphedDenoiser(prior.denoiser))


def refuse_beyond(max_noise: float, noise: float, *, prior: str) -> None:
    """Raise PriorError if noise is stronger than the strongest in the training of the prior of this name."""
    if noise > max_noise * (1 + 1e-6):
        raise PriorError(
            f"prior {prior!r} knows noise up to {max_noise:.3f} (images in [0, 1]), but the chain would start at "
            f"{noise:.3f}; choose a smaller start noise or another prior"
        )
