"""Small networks from numbers of an image to its damages and its kind, with the weights that come with deqir."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from deqir.shapes import Float

WEIGHTS: Final = Path(__file__).parents[2] / "assets" / "diagnosis" / "weights.safetensors"
FARTHEST: Final = 5.0
"""Standard deviations at which inputs unlike the training's are cut off."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """Layers of weights and biases with GELU between them, for standardised inputs and outputs."""

    mean: Float[Tensor, " n"]
    scale: Float[Tensor, " n"]
    layers: tuple[tuple[Tensor, Tensor], ...]
    output_mean: Float[Tensor, " m"]
    output_scale: Float[Tensor, " m"]

    @torch.no_grad()
    def __call__(self, numbers: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        x = ((numbers - self.mean) / self.scale).clamp(-FARTHEST, FARTHEST)
        for place, (weight, bias) in enumerate(self.layers):
            x = functional.linear(functional.gelu(x) if place else x, weight, bias)
        return x * self.output_scale + self.output_mean


@lru_cache(maxsize=2)
def network(name: str) -> Network:
    """Return a network by its name, "damage" or "kind"."""
    stored = load_file(WEIGHTS)
    part = {key.removeprefix(f"{name}."): value.float() for key, value in stored.items() if key.startswith(f"{name}.")}
    count = sum(key.endswith(".weight") for key in part)
    return Network(
        mean=part["mean"],
        scale=part["scale"],
        layers=tuple((part[f"{n}.weight"], part[f"{n}.bias"]) for n in range(count)),
        output_mean=part["output_mean"],
        output_scale=part["output_scale"],
    )
