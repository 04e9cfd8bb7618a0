"""Traces of the filter that made an image smaller: aliasing shows that every n-th pixel was kept."""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor

from deqir.shapes import Float

from .results import in_levels
from .spectrum import block_powers, sharpest

SIDE: Final = 16
"""Side of the blocks in pixels: small images have some of them, too."""
LIMIT: Final = 2.5
"""Most standard deviations of a feature that count: drawings have extreme values."""
CENTRE: Final = (-0.36, -0.92, -1.29, -1.6, -1.87, -2.1, 1.66, 0.18, -0.13, -0.05)
SPREAD: Final = (0.51, 0.75, 0.88, 0.92, 0.98, 1.06, 0.38, 0.18, 0.13, 0.08)
WEIGHTS: Final = (0.35, -0.19, 0.02, -0.17, -0.5, 0.81, 0.96, -1.0, 2.67, -0.5)
BIAS: Final = -2.31
"""A linear discriminant, fitted by logistic regression to 150 training photographs shrunk by 2 to 6 by Pillow's
filters, as they are and as JPEGs of quality 90 and 75."""
THRESHOLD: Final = 2.0
"""Discriminant exceeded by 2.5 % of these photographs shrunk by bicubic, Lanczos and averages."""


def estimate_kernel(y: Float[Tensor, "C H W"]) -> Literal["nearest"] | None:
    """Return "nearest" if y shows that every n-th pixel of a larger image was kept; None if it shows nothing.

    Smooth filters (average, bicubic, Lanczos) cannot be told from each other, and need not be. Sharpening after
    shrinking cannot be told from a scene with fine detail.

    Raises:
        ValueError: The input is not an image, or holds nan or inf.
    """
    score = aliasing(y)
    return "nearest" if score is not None and score > 1 else None


def aliasing(y: Float[Tensor, "C H W"]) -> float | None:
    """Return the evidence for aliasing in an image in [-1, 1]; above 1 where smooth filters are unlikely.

    Without a filter the spectrum of an image hardly falls towards high frequencies, and the differences of
    neighbouring pixels are not alike. None if the image is too small or too much of it is clipped.

    Raises:
        ValueError: The input is not an image, or holds nan or inf.
    """
    features = _features(in_levels(y).mean(0))
    if features is None:
        return None
    scaled = ((features - torch.tensor(CENTRE)) / torch.tensor(SPREAD)).clamp(-LIMIT, LIMIT)
    return float(scaled @ torch.tensor(WEIGHTS) + BIAS) / THRESHOLD


def _features(plane: Float[Tensor, "H W"]) -> Float[Tensor, " n"] | None:
    """Return six powers at rising frequencies, in nepers beside 1/f^2, and four numbers of neighbours' differences."""
    powers = block_powers(plane, side=SIDE)
    if powers is None:
        return None
    spectrum = sharpest(powers).clamp(min=1e-3)
    flat = spectrum.log() + 2 * torch.arange(1.0, len(spectrum) + 1).log()
    across, down = plane.diff(dim=1), plane.diff(dim=0).mT
    steps = across.square().mean() + down.square().mean() + 0.1
    bends = (across.diff(dim=1).square().mean() + down.diff(dim=1).square().mean()) / steps
    alike = [(_alike(across, lag) + _alike(down, lag)) / 2 for lag in (1, 2, 3)]
    return torch.cat([flat[2:] - flat[1], torch.stack([bends, *alike])])


def _alike(steps: Float[Tensor, "H W"], lag: int) -> Tensor:
    """Return the correlation of differences with the differences `lag` pixels further on."""
    return (steps[:, lag:] * steps[:, :-lag]).sum() / steps.square().sum().clamp(min=1)
