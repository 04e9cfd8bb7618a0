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
GRAIN: Final = 0.25
"""Width of a Gaussian, in pixels, above which smoothed noise is grain; it takes a tenth of white noise's power."""
LEAST: Final = 0.3
"""Error of the estimate by rounding, in levels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseEstimate:
    """Noise of an image, as a standard deviation of images in [0, 1]; sigma_y in [-1, 1] is twice that.

    Attributes:
        sigma: Noise of a channel, their median; its interval begins at 0 if there may be texture only.
        channels: Noise of each channel; where it is not measured by channel, all have sigma's value.
        luma: Noise of the luma; 0.67 times a channel's if the channels' noises differ, 1 times if they are alike.
        grain: Width in pixels of the Gaussian that would smooth white noise to this noise; None: taken for white.
    """

    sigma: Estimate
    channels: tuple[float, ...]
    luma: Estimate | None = None
    grain: Estimate | None = None

    @property
    def is_grain(self) -> bool:
        """True if the noise certainly is correlated from pixel to pixel, as film grain is."""
        return self.grain is not None and self.grain.low > GRAIN

    def power(self, frequency: float) -> float:
        """Return the power of the noise at a frequency, relative to white noise of the same standard deviation.

        Args:
            frequency: Distance from zero frequency, in cycles a pixel, 0 to 0.71.
        """
        width = self.grain.value if self.grain else 0.0
        # The mean of the smoothed power over all frequencies of the pixels' grid is 1.
        along = math.erf(math.pi * width) / (2 * math.sqrt(math.pi) * width) if width > 0 else 1.0
        return math.exp(-((2 * math.pi * width * frequency) ** 2)) / along**2


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
