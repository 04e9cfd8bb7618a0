"""Comparison of a spectrum with an expected spectrum: softer or sharper."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from deqir.shapes import Float

STEPS: Final = 18
SMALLEST, LARGEST = 0.03, 40.0
SLOPES: Final = torch.linspace(-1.5, 2.5, 7)
USUAL_SLOPE, SLOPE_WEIGHT = 0.3, 0.02
OUTLIER: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Softness:
    """The fit of a spectrum by log P = log(e^a f^-slope exp(-extra w^2) P_expected + floor), w = 2 pi f.

    Attributes:
        extra: Variance of the Gaussian blur beyond the expected blur in the best fit, in pixels squared; negative if
            the image is sharper.
        residual: Mean squared residual of the best fit in nepers of power, each cut at 3, plus a penalty for slopes
            unusual in photographs.
        extras, residuals: Fixed values of `extra`, and the residual of the best fit with each.
    """

    extra: float
    residual: float
    extras: Float[Tensor, " n"]
    residuals: Float[Tensor, " n"]

    def loss(self, least: float, most: float) -> float:
        """Return the rise of the residual with `extra` held from `least` to `most`, a range with 0 in it."""
        held = self.residuals[(self.extras >= least) & (self.extras <= most)]
        return max(0.0, float(held.min() - self.residuals.min()))


def fit_softness(power: Float[Tensor, " K"], expected: Float[Tensor, " K"], *, floor: float, quiet: float) -> Softness:
    """Return the difference of a spectrum from an expected spectrum.

    Args:
        power: Spectrum of the image's sharpest blocks, in levels squared.
        expected: Expected spectrum without noise, up to a factor.
        floor, quiet: The least and the most power added by noise and rounding.
    """
    floors = torch.logspace(math.log10(floor), math.log10(max(quiet, floor)), 3)
    some = torch.logspace(math.log10(SMALLEST), math.log10(LARGEST), STEPS)
    extras = torch.cat([-some.flip(0), torch.zeros(1), some])
    errors = _errors(power, expected, floors, extras, SLOPES, torch.linspace(-3, 3, 13))
    place = _least(errors)
    extra, slope, offset = extras[place[0]], SLOPES[place[1]], torch.linspace(-3, 3, 13)[place[2]]
    nearby = extra + (0.2 * extra.abs()).clamp(min=SMALLEST) * torch.linspace(-1, 1, 13)
    slopes, offsets = slope + torch.linspace(-0.5, 0.5, 9), offset + torch.linspace(-0.5, 0.5, 9)
    fine = _errors(power, expected, floors, nearby, slopes, offsets)
    best = _least(fine)
    return Softness(
        extra=float(nearby[best[0]]), residual=float(fine[best]), extras=extras, residuals=errors.amin((1, 2, 3))
    )


def least_residual(power: Float[Tensor, " K"], expected: Float[Tensor, " K"], *, floor: float, quiet: float) -> float:
    """Return the residual of the best fit with `extra` held at 0; arguments as for `fit_softness`."""
    floors = torch.logspace(math.log10(floor), math.log10(max(quiet, floor)), 3)
    return float(_errors(power, expected, floors, torch.zeros(1), SLOPES, torch.linspace(-3, 3, 25)).min())


def _errors(power: Tensor, expected: Tensor, floors: Tensor, extras: Tensor, slopes: Tensor, offsets: Tensor) -> Tensor:
    """Return the residual of each combination, shape (extras, slopes, offsets, floors).

    An offset of 0 makes the model meet the spectrum at the lowest frequencies.
    """
    omega = math.pi * torch.arange(1, len(power) + 1) / len(power)
    shape = expected.log() - slopes[:, None] * omega.log() - extras[:, None, None] * omega.square()
    aligned = shape + (power.log() - shape)[..., : min(3, len(power))].mean(-1, keepdim=True)
    model = torch.logaddexp((aligned[:, :, None] + offsets[:, None])[:, :, :, None], floors.log()[:, None])
    squares = (power.log() - model).clamp(-OUTLIER, OUTLIER).square().mean(-1)
    return squares + SLOPE_WEIGHT * (slopes - USUAL_SLOPE).square()[:, None, None]


def _least(errors: Tensor) -> tuple[int, ...]:
    return tuple(int(index) for index in torch.unravel_index(errors.argmin(), errors.shape))
