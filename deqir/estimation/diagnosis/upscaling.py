"""The scale of an enlarged image, from the trace of interpolation, which repeats with the scale as its period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from deqir.estimation.results import clipped, in_levels
from deqir.shapes import Float

FEWEST: Final = 96
"""Fewest pixels along an axis to find a period."""
LOWEST, PROMINENT = 0.105, 9.0
BLOCKS_OF_JPEG: Final = 1 / 8
LARGEST_SCALE: Final = 6.5
SILENT: Final = 1e-6
"""Median of the spectrum below which an image has no steps that differ: it is flat, or a gradient."""
FUNDAMENTAL: Final = 0.7
"""Least height of a peak, as a share of the highest peak, to count as the fundamental of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscalingEstimate:
    """The scale by which an image was enlarged along both axes.

    Attributes:
        scale: 2 to 6.5.
        prominence: Height of the trace's peak over the spectrum around it; below 9 no scale is reported.
    """

    scale: float
    prominence: float


def estimate_upscaling(image: Float[Tensor, "C H W"]) -> UpscalingEstimate | None:
    """Return the scale by which an image in [-1, 1] was enlarged; None without a trace along both axes.

    Interpolated pixels differ less from their neighbours near the middle between samples, so the mean absolute
    difference of a column, first or second, repeats with period `scale` (Gallagher, 2005,
    https://doi.org/10.1109/CRV.2005.33). A scale below 2 leaves the same trace as some scale above 2 and is taken for
    it. Enlarging by a network, noise and later shrinking wipe the trace out. The blocks of a JPEG repeat with period 8:
    the result is None for an image with visible blocks, and a JPEG shrunk since may seem enlarged.

    Raises:
        ValueError: The input is not an image, or holds nan or inf.
    """
    levels = in_levels(image)
    plane, usable = levels.mean(0), ~clipped(levels).any(0)
    found = [_along(plane, usable), _along(plane.T, usable.T)]
    peaks = [peak for peak in found if peak is not None]
    if len(peaks) < 2 or abs(peaks[0][0] - peaks[1][0]) > 0.05 * peaks[0][0]:
        return None
    scale = (peaks[0][0] + peaks[1][0]) / 2
    nearest = round(scale)
    scale = float(nearest) if abs(scale - nearest) < 0.04 * nearest else scale
    return UpscalingEstimate(scale=scale, prominence=min(peak[1] for peak in peaks))


def _along(plane: Float[Tensor, "H W"], usable: Tensor) -> tuple[float, float] | None:
    """Return the period and the prominence of the trace along the last axis."""
    if plane.shape[1] < FEWEST:
        return None
    first = (plane[:, 2:] - plane[:, 1:-1]).abs()
    second = (plane[:, 2:] - 2 * plane[:, 1:-1] + plane[:, :-2]).abs()
    inside = (usable[:, 2:] & usable[:, 1:-1] & usable[:, :-2]).float()
    steps, count = (first, second), inside.sum(0).clamp(min=1)
    found = [_peak(((step * inside).sum(0) / count + 0.01).log()) for step in steps]
    return max((peak for peak in found if peak is not None), key=lambda peak: peak[1], default=None)


def _peak(profile: Float[Tensor, " W"]) -> tuple[float, float] | None:
    """Return the period and the prominence of the strongest repetition in a profile."""
    smooth = functional.avg_pool1d(
        functional.pad(profile[None, None], (8, 8), mode="reflect"), 17, stride=1, count_include_pad=False
    )[0, 0]
    rough = (profile - smooth) * torch.hann_window(len(profile), periodic=False)
    size = 4096 if len(profile) <= 4096 else 2 * len(profile)
    power = torch.fft.rfft(rough, n=size).abs()
    frequency = torch.fft.rfftfreq(size)
    band = frequency >= LOWEST
    power, frequency = power[band], frequency[band]
    if float(power.median()) <= SILENT:
        return None
    relative, width = power / power.median(), 2 * size // len(profile)
    highest = float(relative.max())
    blocks = int((frequency - BLOCKS_OF_JPEG).abs().argmin())
    if highest < PROMINENT or float(relative[blocks - 2 : blocks + 3].max()) > PROMINENT / 2:
        return None
    start = int((relative > max(PROMINENT, FUNDAMENTAL * highest)).nonzero()[0])
    period = 1 / float(frequency[start + int(relative[start : start + width].argmax())])
    return (period, highest) if period <= LARGEST_SCALE else None
