"""Small starter networks, and a prior with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from deqir import Prior
from deqir.priors import DenoiserPrior, FFDNet
from deqir.priors.starters.colorizing import Colorizer
from deqir.priors.starters.enlarging import DenseEnlarger, Enlarger, Enlargers
from deqir.priors.starters.filling import Filler
from deqir.priors.starters.starters import Skills, Starters

SHAPE: Final = {"channels": 3, "width": 8, "depth": 3}


def enlarger(scale: int, *, width: int = 8, depth: int = 3) -> Enlarger:
    network = Enlarger(scale=scale, width=width, depth=depth)
    torch.nn.init.normal_(network.kernels)
    return network


def dense_enlarger(scale: int) -> DenseEnlarger:
    """A network of one block of four channels: no pixel sees further than 20 pixels of y."""
    return DenseEnlarger(scale=scale, width=4, growth=2, blocks=1)


def enlargers(*scales: int, dense: Sequence[int] = ()) -> Enlargers:
    torch.manual_seed(0)
    with torch.device("meta"):
        networks = Enlargers(scales, dense=dense)
    for scale in scales:
        networks.networks[str(scale)] = dense_enlarger(scale) if scale in dense else enlarger(scale)
    return networks.eval().requires_grad_(False)


def filler(*, width: int = 8, depth: int = 3) -> Filler:
    """A filler with a `Beyond` after its second layer."""
    torch.manual_seed(2)
    return Filler(width=width, depth=depth, every=2, inner=6, blocks=1).eval().requires_grad_(False)


def colorizer(*, width: int = 8) -> Colorizer:
    """A colorizer with colours other than grey."""
    torch.manual_seed(3)
    network = Colorizer(width=width).eval().requires_grad_(False)
    torch.nn.init.normal_(network.last.weight, std=0.05)
    return network


def starters(skills: Skills) -> Starters:
    """A small network for each skill."""
    with torch.device("meta"):
        networks = Starters(skills)
    if networks.enlargers is not None:
        networks.enlargers = enlargers(*skills.enlarges, dense=skills.dense)
    if networks.filler is not None:
        networks.filler = filler()
    if networks.colorizer is not None:
        networks.colorizer = colorizer()
    return networks.eval()


def prior_with(networks: Starters | None) -> Prior:
    """A prior of a small random denoiser and starter networks."""
    torch.manual_seed(1)
    denoiser = DenoiserPrior(FFDNet(**SHAPE).eval().requires_grad_(False), max_noise=0.3)
    home = torch.device("cpu")
    return Prior(
        name="mine", digest="", denoiser=denoiser, device=home, multiple=2, max_noise=0.3, channels=3, starters=networks
    )
