"""The rounding errors of JPEG's coefficients, known from the file alone."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from deqir.linalg.dct import BLOCK
from deqir.shapes import Float

from .coefficients import LEVEL, JpegCoefficients

FEWEST: Final = 3
"""Fewest coefficients beyond zero that tell the spread of a frequency."""
DECAY: Final = 1.5
"""Power of the frequency by which the spread of coefficients falls, for frequencies that hold zeros only."""


def deviations_of(found: JpegCoefficients) -> Float[Tensor, "components 8 8"]:
    """Return the standard deviation of each frequency's rounding error, images in [-1, 1].

    A coefficient rounded to a multiple of its step q has an error of q / sqrt(12). Where most are rounded to zero the
    error is smaller: that of a Laplace variable inside (-q/2, q/2), whose scale follows from the share of zeros. If
    nearly all are zero, the scale is at most that of the lower frequencies, less their natural decay. The mean square
    over the blocks serves for the frequency.
    """
    errors = list[Tensor]()
    for values, step in zip(found.values, found.steps.double(), strict=True):
        full, zeros = step / math.sqrt(12), (values == 0).double().mean((0, 1))
        inside = _inside(_scales(values, step), step)
        errors.append((zeros * torch.minimum(inside, full).square() + (1 - zeros) * full.square()).sqrt())
    return torch.stack(errors) / LEVEL


def _scales(values: Tensor, step: Float[Tensor, "8 8"]) -> Float[Tensor, "8 8"]:
    """Return the Laplace scale of each frequency's coefficients, from the share beyond half a step."""
    blocks = values.shape[0] * values.shape[1]
    beyond = (values != 0).double().sum((0, 1))
    scales = -(step / 2) / torch.log(beyond.clamp(0.5, blocks - 0.5) / blocks)
    known, frequency = beyond >= FEWEST, _frequencies().pow(DECAY)
    known[0, 0] = False
    amplitudes = scales * frequency
    amplitude = amplitudes[known].log().mean().exp() if bool(known.any()) else amplitudes.min()
    return torch.where(known, scales, torch.minimum(scales, amplitude / frequency))


def _inside(scale: Tensor, step: Tensor) -> Float[Tensor, "8 8"]:
    """Return the standard deviation of a Laplace variable inside (-step / 2, step / 2)."""
    a = step / 2 / scale
    return scale * (2 - (a * a + 2 * a) / torch.expm1(a)).clamp(min=1e-12).sqrt()


def _frequencies() -> Float[Tensor, "8 8"]:
    """Return the distance of each frequency from the mean, 1 for the mean itself."""
    n = torch.arange(BLOCK, dtype=torch.float64)
    return torch.hypot(n[:, None], n[None]).clamp(min=1)
