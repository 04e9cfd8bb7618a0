"""Power spectra of an image's blocks, by distance from zero frequency."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from deqir.shapes import Bool, Float

from .results import clipped

SIDES: Final = (64, 32, 16)
LARGE_ENOUGH: Final = 4
"""Blocks needed along the shorter side of an image for a block size above the smallest."""
MOST_BLOCKS: Final = 400
FEWEST_BLOCKS: Final = 4
CLIPPED: Final = 0.05
SHARPEST: Final = 0.9
PERIOD: Final = 512


def block_powers(
    levels: Float[Tensor, "H W"], hidden: Bool[Tensor, "H W"] | None = None, *, side: int | None = None
) -> Float[Tensor, "blocks K"] | None:
    """Return the mean power of each usable block at frequencies 1/(2K), 2/(2K), ..., 1/2 cycles a pixel.

    White noise of variance v has power v at all of them. Blocks have sides of `side`, or of the largest size of which
    enough fit into the image; they overlap by half, under a Hann window. Clipped blocks and blocks with a hidden pixel
    are not usable. None if there are fewer than four usable blocks.
    """
    unusable = clipped(levels).float() if hidden is None else torch.where(hidden, 1e6, clipped(levels).float())
    for length in SIDES if side is None else (side,):
        if min(levels.shape) < 2 * length:
            continue
        usable = _blocks(unusable, length).mean((1, 2)) < CLIPPED
        enough = side or length == SIDES[-1] or min(levels.shape) >= LARGE_ENOUGH * length
        if enough and int(usable.sum()) >= FEWEST_BLOCKS:
            return _powers(_blocks(levels, length)[usable])
    return None


def sharpest(powers: Float[Tensor, "blocks K"]) -> Float[Tensor, " K"]:
    """Return the mean spectrum of the tenth of the blocks with the most energy above the lowest frequencies.

    A blurred image has no sharp block, but a sharp image has blurred blocks: the sky, things out of focus.
    """
    energy = powers[:, max(1, powers.shape[1] // 8) :].sum(1)
    return powers[energy >= energy.quantile(SHARPEST)].mean(0)


def quiet_floor(powers: Float[Tensor, "blocks K"]) -> float:
    """Return the power at high frequencies exceeded by nine blocks in ten: noise, and texture found everywhere."""
    K = powers.shape[1]
    return float(powers[:, K * 5 // 8 :].mean(1).quantile(0.1))


def natural_levels(height: int, width: int) -> Float[Tensor, "H W"]:
    """Return a random field of mean 128 with the power spectrum 1/f^2 of photographs, periodic over 512 pixels."""
    field = _field()
    rows, columns = torch.arange(height) % PERIOD, torch.arange(width) % PERIOD
    return field[rows[:, None], columns]


def blurred_natural_levels(width: float) -> Float[Tensor, "512 512"]:
    """Return one period of the natural field, blurred by a Gaussian with a standard deviation of `width` pixels."""
    down, across = torch.fft.fftfreq(PERIOD)[:, None], torch.fft.rfftfreq(PERIOD)
    passed = torch.exp(-2 * (math.pi * width) ** 2 * (down.square() + across.square()))
    blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(_field()) * passed, s=(PERIOD, PERIOD))
    return blurred


def pooled(plane: Float[Tensor, "H W"], factor: int) -> Float[Tensor, "h w"]:
    """Return the means of factor x factor blocks; a rest at the ends is cut off."""
    return functional.avg_pool2d(plane[None, None], factor)[0, 0]


@lru_cache(maxsize=1)
def _field() -> Tensor:
    noise = torch.randn(PERIOD, PERIOD, generator=torch.Generator().manual_seed(0))
    frequency = torch.hypot(torch.fft.fftfreq(PERIOD)[:, None], torch.fft.rfftfreq(PERIOD))
    frequency[0, 0] = math.inf
    field: Tensor = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency, s=(PERIOD, PERIOD))
    return 128 + 40 * field / field.std()


def _blocks(plane: Tensor, side: int) -> Tensor:
    """Return overlapping blocks, evenly spread and not too many, shape (n, side, side)."""
    steps = [side // 2, side // 2]
    while math.prod((length - side) // step + 1 for length, step in zip(plane.shape, steps, strict=True)) > MOST_BLOCKS:
        steps = [2 * step for step in steps]
    return plane.unfold(0, side, steps[0]).unfold(1, side, steps[1]).reshape(-1, side, side)


def _powers(blocks: Float[Tensor, "n side side"]) -> Float[Tensor, "n K"]:
    window, ring, weight = _rings(blocks.shape[-1])
    K = blocks.shape[-1] // 2
    mean = (blocks * window).sum((1, 2), keepdim=True) / window.sum()
    power = torch.fft.rfft2((blocks - mean) * window).abs().square() / window.square().sum()
    total = power.new_zeros(len(blocks), K + 2).index_add_(1, ring, power.flatten(1) * weight)
    mean_power: Tensor = total / total.new_zeros(K + 2).index_add_(0, ring, weight)
    return mean_power[:, 1 : K + 1]


@lru_cache(maxsize=len(SIDES))
def _rings(side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the window, and for each frequency its ring (K + 1: the corners) and its number in the whole plane."""
    line = torch.hann_window(side, periodic=True)
    across = torch.fft.rfftfreq(side) * side
    distance = torch.hypot(torch.fft.fftfreq(side)[:, None] * side, across).round().long()
    twice = torch.where((across == 0) | (across == side // 2), 1.0, 2.0).expand(side, -1)
    return torch.outer(line, line), distance.clamp(max=side // 2 + 1).flatten(), twice.flatten()
