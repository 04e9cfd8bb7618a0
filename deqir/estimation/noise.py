"""Noise of an image, from the blocks in which there is least else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

from deqir.linalg.dct import BLOCK
from deqir.shapes import Float

from .cosines import cosines
from .results import Estimate, clipped, in_levels

SMOOTH: Final = 0.05
"""Share of the blocks that the noise is read from: those with the least energy at middle frequencies."""
FEWEST: Final = 32
MOST: Final = 2**17
"""Blocks that are looked at; of images above 2 megapixels not all are."""
CLIPPED: Final = 0.02
TEXTURE: Final = 0.4
"""What a noise-free photograph has at high frequencies of its smoothest blocks, in parts of that at middle ones."""
FALL: Final = 0.7
"""The same in parts of that just below the high ones."""
SPREAD: Final = 0.08
"""Error of the estimate where there is no texture, as a share of it."""
LEAST: Final = 0.3
"""Error of the estimate by rounding, in levels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseEstimate:
    """White noise of an image, as a standard deviation of images in [0, 1]; sigma_y in [-1, 1] is twice that.

    Attributes:
        sigma: The median over the channels; its interval begins at 0 where texture may be all there is.
        channels: Of each channel.
    """

    sigma: Estimate
    channels: tuple[float, ...]


def estimate_noise(image: Float[Tensor, "C H W"]) -> NoiseEstimate | None:
    """Return the noise of an image in [-1, 1]; None where too little of it is free of clipping to tell.

    White noise has the same variance in every coefficient of an orthonormal transform. Of the 8 x 8 blocks that
    are not clipped, those with the least energy at low and middle frequencies are taken, one in twenty: choosing
    by these does not bias the high frequencies, from which the variance is read, as the median over the blocks.
    Texture in the smoothest blocks is told from noise by its fall towards high frequencies only; the interval begins
    lower the more of it there may be. Noise that was made smooth (by denoising, JPEG or interpolation) is
    underestimated.

    Raises:
        ValueError: It is not an image, or holds nan or inf.
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
    """What smooth blocks of a channel hold at high frequencies, just below them and at middle ones; in levels."""

    sigma: float
    below: float
    middle: float

    def at_least(self, passed: float = 1.0) -> float:
        """Return what cannot be texture, of which a degradation let pass so much at high frequencies.

        White noise is as strong below them, where there is more of texture: sigma^2 = noise^2 + fall^2 texture^2 and
        below^2 = noise^2 + texture^2, with the slowest fall that photographs have.
        """
        fall = passed * FALL
        noise = ((self.sigma * (1 - SPREAD)) ** 2 - (fall * self.below) ** 2) / (1 - fall**2)
        return math.sqrt(max(0.0, noise))

    def low(self) -> float:
        """Return what cannot be texture by what is just below, nor by what is at middle frequencies."""
        by_middle = (self.sigma * (1 - SPREAD)) ** 2 - (TEXTURE * self.middle) ** 2
        return min(self.at_least(), math.sqrt(max(0.0, by_middle)))


def median(planes: list[PlaneNoise]) -> PlaneNoise:
    """Return the channel of median noise."""
    return sorted(planes)[(len(planes) - 1) // 2]


def plane_noises(levels: Float[Tensor, "C H W"]) -> list[PlaneNoise] | None:
    """Return the noise of each channel of an image in levels; None where that of any cannot be told."""
    planes = [_plane_noise(plane) for plane in levels]
    known = [plane for plane in planes if plane is not None]
    return known if len(known) == len(planes) else None


def _plane_noise(plane: Float[Tensor, "H W"]) -> PlaneNoise | None:
    if min(plane.shape) < BLOCK:
        return None
    step = BLOCK // 2
    while plane.numel() > MOST * step**2:
        step += BLOCK  # an odd multiple of half a block, so that not all lie on JPEG's grid
    blocks = plane.unfold(0, BLOCK, step).unfold(1, BLOCK, step).reshape(-1, BLOCK, BLOCK)
    blocks = blocks[clipped(blocks).float().mean((1, 2)) < CLIPPED]
    if len(blocks) < FEWEST:
        return None
    energy = cosines(blocks).square()
    order = torch.arange(BLOCK)[:, None] + torch.arange(BLOCK)
    middle = energy[:, (order >= 1) & (order <= 4)].mean(1)
    smoothest = middle.argsort()[: max(FEWEST // 2, int(SMOOTH * len(blocks)))]
    high, below = (energy[smoothest][:, band].mean(1).median() for band in (order >= 9, (order >= 5) & (order <= 8)))
    return PlaneNoise(float(high.sqrt()), float(below.sqrt()), float(middle[smoothest].mean().sqrt()))
