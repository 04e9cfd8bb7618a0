"""Weights in ncnn's format: one convolution after another, weights in half precision, biases in single."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from .download import ModelError

HALF: Final = 0x01306B47
"""ncnn's mark before weights in half precision."""


def convolutions(blob: bytes, shapes: Mapping[str, Sequence[int]], *, network: str) -> dict[str, Tensor]:
    """Return the weights of a network of convolutions, in the precision of the file.

    Args:
        blob: The .bin file.
        shapes: Shape of each weight in the order of the file; names end in .weight or .bias.

    Raises:
        ModelError: The file holds the weights of another network.
    """
    weights, place = dict[str, Tensor](), 0
    for name, shape in shapes.items():
        half = name.endswith(".weight")
        width, kind = (2, "<f2") if half else (4, "<f4")
        if half and blob[place : place + 4] != HALF.to_bytes(4, "little"):
            raise ModelError(f"the file holds no weights of {network}: {name} is not in half precision")
        place += 4 * half
        end = place + width * int(np.prod(shape))
        if end > len(blob):
            raise ModelError(f"the weights of {network} were cut short in {name}")
        weights[name] = torch.from_numpy(np.frombuffer(blob[place:end], kind).copy()).view(*shape)
        place = end + -end % 4
    if place != len(blob):
        raise ModelError(f"the file holds no weights of {network}: {len(blob) - place} bytes are left over")
    return weights
