"""Noise of an image, from the blocks with the least texture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

from deqir.linalg.dct import BLOCK, block_cosines
from deqir.shapes import Float

from .results import Estimate, clipped, in_levels

SMOOTH: Final = 0.05
"""Share of the blocks used to read the noise: the blocks with the least energy at middle frequencies."""
FEWEST: Final = 32
MOST: Final = 2**17
"""Most blocks to look at; images above 2 megapixels have more."""
CLIPPED: Final = 0.02
TEXTURE: Final = 0.4
"""Amplitude at high frequencies in the smoothest blocks of a noise-free photograph, per amplitude at middle ones."""
FALL: Final = 0.7
"""Amplitude at high frequencies in these blocks, per amplitude just below the high frequencies."""
SPREAD: Final = 0.08
"""Error of the estimate without texture, as a share of the estimate."""
LEAST: Final = 0.3
"""Error of the estimate by rounding, in levels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseEstimate:
    """White noise of an image, as a standard deviation of images in [0, 1]; sigma_y in [-1, 1] is twice that.

    Attributes:
        sigma: The median over the channels; its interval begins at 0 if there may be texture only.
    """

    sigma: Estimate
    channels: tuple[float, ...]


def estimate_noise(image: Float[Tensor, "C H W"]) -> NoiseEstimate | None:
    """Return the noise of an image in [-1, 1]; None if too little of it is free of clipping.

    White noise has the same variance in every coefficient of an orthonormal transform. Of the 8 x 8 blocks without
    clipping, the twentieth with the least energy at low and middle frequencies is taken. This choice does not bias the
    high frequencies, from which the variance is read, as the median over the blocks. Only its fall towards high
    frequencies distinguishes texture in the smoothest blocks from noise; the more texture there may be, the lower the
    interval begins. Smoothed noise (by denoising, JPEG or interpolation) is underestimated.

    Raises:
        ValueError: The input is not an image, or holds nan or inf.
    """
    planes = plane_noises(in_levels(image))
    if planes is None:
        return None
    typical = median(planes)
    high = typical.sigma * (1 + SPREAD) + LEAST
    return NoiseEstimate(
        sigma=Estimate(value=typical.sigma / 255, low=typical.low() / 255, high=high / 255),
        channels=tuple(plane.sigma / 255 for plane in planes),
    )


class PlaneNoise(NamedTuple):
    """Amplitudes in a channel's smooth blocks at high frequencies, just below them and at middle ones, in levels."""

    sigma: float
    below: float
    middle: float

    def at_least(self, passed: float = 1.0) -> float:
        """Return the least noise, if a degradation let the share `passed` of the texture pass at high frequencies.

        White noise is as strong just below them, while texture is stronger: sigma^2 = noise^2 + fall^2 texture^2 and
        below^2 = noise^2 + texture^2, with the slowest fall of texture in photographs.
        """
        fall = passed * FALL
        noise = ((self.sigma * (1 - SPREAD)) ** 2 - (fall * self.below) ** 2) / (1 - fall**2)
        return math.sqrt(max(0.0, noise))

    def low(self) -> float:
        """Return the least noise after allowing for the texture seen just below high and at middle frequencies."""
        by_middle = (self.sigma * (1 - SPREAD)) ** 2 - (TEXTURE * self.middle) ** 2
        return min(self.at_least(), math.sqrt(max(0.0, by_middle)))


def median(planes: list[PlaneNoise]) -> PlaneNoise:
    """Return the channel of median noise."""
    return sorted(planes)[(len(planes) - 1) // 2]


def plane_noises(levels: Float[Tensor, "C H W"]) -> list[PlaneNoise] | None:
    """Return the noise of each channel of an image in levels; None if a channel has too few usable blocks."""
    planes = [_plane_noise(plane) for plane in levels]
    known = [plane for plane in planes if plane is not None]
    return known if len(known) == len(planes) else None


def _plane_noise(plane: Float[Tensor, "H W"]) -> PlaneNoise | None:
    if min(plane.shape) < BLOCK:
        return None
    step = BLOCK // 2
    while plane.numel() > MOST * step**2:
        step += BLOCK  # an odd multiple of half a block: not all blocks may lie on JPEG's grid
    blocks = plane.unfold(0, BLOCK, step).unfold(1, BLOCK, step).reshape(-1, BLOCK, BLOCK)
    blocks = blocks[clipped(blocks).float().mean((1, 2)) < CLIPPED]
    if len(blocks) < FEWEST:
        return None
    energy = block_cosines(blocks).square()
    order = torch.arange(BLOCK)[:, None] + torch.arange(BLOCK)
    middle = energy[:, (order >= 1) & (order <= 4)].mean(1)
    smoothest = middle.argsort()[: max(FEWEST // 2, int(SMOOTH * len(blocks)))]
    high, below = (energy[smoothest][:, band].mean(1).median() for band in (order >= 9, (order >= 5) & (order <= 8)))
    return PlaneNoise(float(high.sqrt()), float(below.sqrt()), float(middle[smoothest].mean().sqrt()))
