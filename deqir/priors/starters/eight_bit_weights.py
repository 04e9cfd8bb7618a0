"""Weights of convolutions in eight bits, so that a prior's file is half as large as in half precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

STEPS: Final = ".steps"
"""What the names end with that tell how far apart the values of an eight-bit weight are."""
MOST: Final = 127


def packed(weights: Mapping[str, Tensor], *, rows: bool = False) -> dict[str, Tensor]:
    """Return weights with those of convolutions in eight bits, the others in half precision.

    Each kernel, the weights between one channel and another, has a step of its own, in half precision: the results
    of the networks that make starts differ by 63 dB or more, by a whole row's step they would by 50.

    Args:
        weights: By name.
        rows: All kernels that make a channel share a step, which saves a fifth: residual networks do not mind, their
            results differ by 60 dB.
    """
    together = (1, 2, 3) if rows else (2, 3)
    found = dict[str, Tensor]()
    for name, weight in weights.items():
        if weight.ndim < 4 or weight.shape[-2:] == (1, 1):
            found[name] = weight.half()
            continue
        steps = (weight.float().abs().amax(together, keepdim=True) / MOST).half()
        steps = steps.clamp(min=torch.finfo(torch.half).smallest_normal)
        found[name] = (weight.float() / steps.float()).round().clamp(-MOST, MOST).to(torch.int8)
        found[name + STEPS] = steps
    return found


def unpacked(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as numbers, whether they were packed or not.

    Raises:
        RuntimeError: Steps are missing, or do not fit their weight.
    """
    found = dict[str, Tensor]()
    for name, weight in weights.items():
        if name.endswith(STEPS) and name.removesuffix(STEPS) in weights:
            continue
        steps = weights.get(name + STEPS)
        if weight.dtype == torch.int8:
            if steps is None or steps.ndim != weight.ndim:
                raise RuntimeError(f"{name} is in eight bits, but {name + STEPS} does not tell how far apart they are")
            weight = weight.float() * steps.float()
        found[name] = weight
    return found
