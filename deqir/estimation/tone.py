"""Tone of an image: grey, a single tint such as sepia, or colour; a tint can be taken off and given back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

from deqir.operators.colorization import REC_601
from deqir.shapes import Float

from .results import LEVELS, in_levels

CB_CR: Final = (0.564, 0.713)
"""Factors of JPEG's colours: Cb of blue - grey, Cr of red - grey."""
SIDES: Final = (16, 8, 4, 2)
"""Sides of the blocks whose means are compared, in pixels; 16 is a colour block of JPEG at half resolution."""
ENOUGH: Final = 64
"""Blocks needed for a side; an image too small for all sides is compared pixel by pixel."""
DEGREE: Final = 3
"""Degree of the curves, which follow sepia, cyanotypes and most split tones."""
GREYEST: Final = 1.1
"""Largest RMS of the colour of a grey image, in levels: colour noise of 20 levels leaves 1.0 after JPEG."""
OFF_CURVE, OFF_CURVE_99 = 1.9, 4.5
"""Largest departure from the curve of a tint, in levels: its RMS, and the value below which 99 in 100 blocks stay.

With both, 2 of 161 training photographs in colour count as a tint or as grey (2 as JPEGs of quality 50 to 95, 3 of 20):
a snowy wood, a dome in fog, rays of the sun. They depart by less than 2 levels from their curves.
"""
SPOT: Final = 16.0
"""Largest departure of a single block, in levels: a stamp in colour is a colour."""
COARSEST: Final = 7.0
"""Largest step of JPEG's rounding of colours to allow for, in levels: quality 15."""
FINEST: Final = 1.0
MULTIPLES: Final = 0.9
"""Least mean cosine of the block means for them to be multiples of a step."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tone:
    """The tone of an image.

    Attributes:
        kind: grey: no colour. tint: the colour of each pixel follows from its grey. colour: anything else.
        departure: RMS of the colour beside the curve of a tint, in 8-bit levels, without noise and rounding.
        curve: Coefficients by channel of the polynomial in the grey, in [-1, 1], to add to the grey, shape
            (3, degree + 1); the constant comes first.
        darkest, lightest: Ends of the curve, in [-1, 1]; beyond them the colour stays.
    """

    kind: Literal["grey", "tint", "colour"]
    departure: float
    curve: Float[Tensor, "3 K"]
    darkest: float
    lightest: float

    def to_grey(self, image: Float[Tensor, "C H W"]) -> Float[Tensor, "1 H W"]:
        """Return the grey of an image, its Rec. 601 luma."""
        return image if len(image) == 1 else _luma(image)

    def from_grey(self, grey: Float[Tensor, "1 H W"]) -> Float[Tensor, "3 H W"]:
        """Return a grey image with the tint; its grey stays, but for clipping.

        Raises:
            ValueError: The tone is colour, which does not follow from the grey.
        """
        if self.kind == "colour":
            raise ValueError("the colours of an image in colour do not follow from its grey; only a tint can be given")
        powers = _powers(grey[0].clamp(self.darkest, self.lightest), self.curve.shape[1])
        return grey[:1] + torch.einsum("ck,khw->chw", self.curve.to(grey), powers)


def tone_of(image: Float[Tensor, "C H W"]) -> Tone:
    """Return the tone of an image of one or three channels in [-1, 1].

    The colours of a tint lie on a curve over the grey. A polynomial is fitted to the means of blocks, in which noise
    and JPEG's ringing vanish. JPEG rounds these means as well: where they are multiples of a step, its variance is
    subtracted. A doubtful image is in colour, for then nothing is lost.

    Raises:
        ValueError: The input is not an image of one or three channels, or holds nan or inf.
    """
    levels = in_levels(image)
    if len(levels) not in (1, 3):
        raise ValueError(f"the tone of an image needs one or three channels, got {len(levels)}")
    if len(levels) == 1:
        return _tone("grey", 0.0, torch.zeros(3, DEGREE + 1), -1.0, 1.0)
    side = next((side for side in SIDES if _blocks(levels, side) >= ENOUGH), 1)
    grey = _luma(levels)
    weights = torch.tensor(CB_CR)
    chroma = (levels[[2, 0]] - grey) * weights[:, None, None]
    means, squares = (functional.avg_pool2d(each, side).flatten(1).double() for each in (chroma, chroma.square()))
    within = max(0.0, float((squares - means.square()).sum(0).median())) / side**2
    noise = within + sum(_step(channel) ** 2 / 12 for channel in means)
    steady = functional.avg_pool2d(grey, side).flatten().double() / LEVELS - 1
    powers = _powers(steady, DEGREE + 1)
    solution = torch.linalg.lstsq(powers.T, means.T, driver="gelsd").solution  # full rank or not
    beside = (means.T - powers.T @ solution).square().sum(1)
    departure = _beyond(float(beside.mean()), noise)
    if _beyond(float(means.square().sum(0).mean()), noise) <= GREYEST and _stays(means.square().sum(0), noise):
        return _tone("grey", departure, torch.zeros(3, DEGREE + 1), -1.0, 1.0)
    is_tint = departure <= OFF_CURVE and _stays(beside, noise)
    blue, red = (solution / weights).T / LEVELS
    green = -(REC_601[0] * red + REC_601[2] * blue) / REC_601[1]
    curve = torch.stack([red, green, blue]).float()
    return _tone("tint" if is_tint else "colour", departure, curve, float(steady.min()), float(steady.max()))


def _tone(
    kind: Literal["grey", "tint", "colour"], departure: float, curve: Tensor, darkest: float, lightest: float
) -> Tone:
    return Tone(kind=kind, departure=departure, curve=curve, darkest=darkest, lightest=lightest)


def _blocks(levels: Tensor, side: int) -> int:
    return (levels.shape[1] // side) * (levels.shape[2] // side)


def _luma(image: Float[Tensor, "3 H W"]) -> Float[Tensor, "1 H W"]:
    weights = torch.tensor(REC_601, dtype=image.dtype, device=image.device)
    return torch.einsum("c,chw->hw", weights, image)[None]


def _powers(grey: Tensor, count: int) -> Tensor:
    return torch.stack([grey**k for k in range(count)])


def _step(means: Float[Tensor, " n"]) -> float:
    """Return the largest step of which the means of blocks are multiples; 0 if there is none."""
    eighths = torch.arange(round(COARSEST * 8), round(FINEST * 8) - 1, -1, dtype=means.dtype) / 8  # JPEG's own steps
    agreement = torch.cos(2 * torch.pi * means / eighths[:, None]).mean(1)
    several = (means / eighths[:, None]).round().std(1, correction=0) > 0
    fitting = ((agreement > MULTIPLES) & several).nonzero()
    return float(eighths[fitting[0, 0]]) if len(fitting) else 0.0


def _beyond(power: float, noise: float) -> float:
    """Return an RMS without the variance of the noise."""
    return math.sqrt(max(0.0, power - noise))


def _stays(squares: Float[Tensor, " n"], noise: float) -> bool:
    """True if hardly any block, and no single one, departs by more than the noise allows for."""
    nearly_all = float(squares.kthvalue(math.ceil(0.99 * len(squares))).values)
    return _beyond(nearly_all, 6 * noise) <= OFF_CURVE_99 and math.sqrt(squares.max()) <= SPOT + 4 * math.sqrt(noise)
