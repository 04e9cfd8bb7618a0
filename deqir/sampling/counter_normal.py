"""Standard normal numbers as a function of a seed and a place, the same on every device."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deqir.shapes import Float

GOLDEN: Final = 0x9E3779B1
"""2^32 over the golden ratio, odd: separates places near each other."""
MIXING: Final = ((16, 0x21F0AAAD), (15, 0xD35A2D97), (15, 1))
"""Shifts and factors of a good mixer, found by search (https://github.com/skeeto/hash-prospector)."""
APART: Final = 1024
"""Places between the two numbers of a pair; next to each other they would take a CPU twice as long."""
AT_ONCE: Final = 2**16
"""Numbers per pass on a CPU, so that they stay in its cache."""
LARGEST_AT_ONCE: Final = 2**25
"""Numbers per pass on another device."""
TO_UNIT, TO_ANGLE, LEAST = 2.0**-32, 2.0**-31 * math.pi, 2.0**-33


def standard_normal(seed: int, count: int, *, device: torch.device) -> Float[Tensor, " count"]:
    """Return independent standard normal numbers in float32; a larger count only appends numbers.

    Box and Muller's transform makes each pair of two numbers of 32 bits. These mix the pair's places with a half of the
    seed, then with its other half; mixing is xor with a shift of itself and multiplication in turns. The integers are
    the same everywhere, unlike numbers of parallel generators with a state. On another device results differ by the
    rounding of logarithm and cosine.

    A CPU makes them in one thread, by NumPy: torch's threads would be waited for at each of thirty short operations.

    Args:
        seed: Its lowest 64 bits count.
    """
    whole = -(-count // (2 * APART)) * 2 * APART
    if device.type == "cpu":
        numbers = np.empty(whole, np.float32)
        for begin in range(0, whole, AT_ONCE):
            _here(seed, begin, numbers[begin : begin + AT_ONCE])
        return torch.from_numpy(numbers)[:count]
    there = torch.empty(whole, dtype=torch.float32, device=device)
    for begin in range(0, whole, LARGEST_AT_ONCE):
        _there(seed, begin, there[begin : begin + LARGEST_AT_ONCE])
    return there[:count]


def _here(seed: int, begin: int, out: NDArray[np.float32]) -> None:
    """Put numbers from a place on into an array."""
    x = np.arange(len(out), dtype=np.uint32) * np.uint32(GOLDEN)
    for half in _halves(seed, begin):
        x += np.uint32(half)
        for shift, factor in MIXING:
            x ^= x >> np.uint32(shift)
            x *= np.uint32(factor)
    mixed, pairs = x.view(np.int32).reshape(-1, 2, APART), out.reshape(-1, 2, APART)
    unit = np.maximum(mixed[:, 0].astype(np.float32) * np.float32(TO_UNIT) + np.float32(0.5), np.float32(LEAST))
    radius, angle = np.sqrt(-2 * np.log(unit)), mixed[:, 1].astype(np.float32) * np.float32(TO_ANGLE)
    np.multiply(radius, np.cos(angle), out=pairs[:, 0])
    np.multiply(radius, np.sin(angle), out=pairs[:, 1])


def _there(seed: int, begin: int, out: Tensor) -> None:
    """Put numbers from a place on into a tensor of another device."""
    x = torch.arange(len(out), dtype=torch.int32, device=out.device)
    x.mul_(_signed(GOLDEN))
    for half in _halves(seed, begin):
        x.add_(_signed(half))
        for shift, factor in MIXING:
            low = (x >> shift).bitwise_and_((1 << (32 - shift)) - 1)  # int32 keeps its sign when it is shifted
            x.bitwise_xor_(low).mul_(_signed(factor))
    mixed, pairs = x.view(-1, 2, APART), out.view(-1, 2, APART)
    radius = mixed[:, 0].float().mul_(TO_UNIT).add_(0.5).clamp_(min=LEAST).log_().mul_(-2).sqrt_()
    angle = mixed[:, 1].float().mul_(TO_ANGLE)
    torch.mul(radius, angle.cos(), out=pairs[:, 0])
    torch.mul(radius, angle.sin_(), out=pairs[:, 1])


def _signed(number: int) -> int:
    """Return the signed number with these 32 bits."""
    return number - (number >> 31 << 32)


def _halves(seed: int, begin: int) -> tuple[int, int]:
    """Return two numbers of 32 bits, very different for seeds near each other (splitmix64).

    The first is for places from `begin` on; the second separates places with equal lowest 32 bits.
    """
    z = (seed + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    z ^= z >> 31
    return ((z >> 32) + begin * GOLDEN) % 2**32, (z + (begin >> 32) * GOLDEN) % 2**32
