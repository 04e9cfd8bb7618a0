"""Noise: an image's own, a function of the job's seed and its content, never of its place; and that of grey images."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from .shapes import Float

GREY: Final = math.sqrt(3)
"""By how much noise that is the same in three channels counts for more than noise that is different in each.

A network for colour knows the second kind, whose mean over the channels is weaker by that than the noise of each. Grey
images are given to it as three equal channels, all noise of which is in their mean.
"""


GOLDEN: Final = 0x9E3779B1 - 2**32
"""2^32 over the golden ratio, odd: places that are near each other come apart."""
APART: Final = 1024
"""The two numbers of a pair are so many places apart; next to each other they would take a CPU twice as long."""
AT_ONCE: Final = 2**17
"""Numbers that a CPU draws at a time, so that they stay in its cache."""
LARGEST_AT_ONCE: Final = 2**25


def image_seed(seed: int, content_sha256: str) -> int:
    """Return the 63-bit seed of one image from the job's seed and the SHA-256 (hex) of the image's bytes."""
    digest = hashlib.sha256(f"{seed}\0{content_sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def chain_noise(
    seeds: Sequence[int], shape: Sequence[int], steps: int, *, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "B positions C H W"]:
    """Return standard normal noise of each image: the start's, then z_0..z_{T-1}.

    Drawn where it is needed, and to rounding the same on every device: see `standard_normal`.
    """
    shape, count = (steps + 1, *shape), (steps + 1) * math.prod(shape)
    rows = [standard_normal(seed, count, device=device).view(shape) for seed in seeds]
    return (rows[0][None] if len(rows) == 1 else torch.stack(rows)).to(dtype)


def standard_normal(seed: int, count: int, *, device: torch.device) -> Float[Tensor, " count"]:
    """Return independent standard normal numbers in float32, the first ones the same however many are asked for.

    Each pair is made by Box and Muller's transform of two numbers of 32 bits. Those are the pair's place and a half of
    the seed, mixed, and mixed again with the seed's other half; mixing is xor with a shift of itself and
    multiplication in turns, with the constants of https://github.com/skeeto/hash-prospector ([16 21f0aaad 15
    d35a2d97 15]). Integers are the same everywhere, which generators that keep a state and work in parallel are not.
    """
    (first, second), whole = _halves(seed), -(-count // (2 * APART)) * 2 * APART
    numbers = torch.empty(whole, dtype=torch.float32, device=device)
    most = AT_ONCE if device.type == "cpu" else LARGEST_AT_ONCE
    for begin in range(0, whole, most):
        x = torch.arange(begin, min(begin + most, whole), dtype=torch.int32, device=device)
        mixed = _mixed(_mixed(x.mul_(GOLDEN).add_(first)).add_(second)).view(-1, 2, APART)
        radius = mixed[:, 0].float().mul_(2.0**-32).add_(0.5).clamp_(min=2.0**-33).log_().mul_(-2).sqrt_()
        angle = mixed[:, 1].float().mul_(2.0**-31 * math.pi)
        pairs = numbers[begin : begin + most].view(-1, 2, APART)
        torch.mul(radius, angle.cos(), out=pairs[:, 0])
        torch.mul(radius, angle.sin_(), out=pairs[:, 1])
    return numbers[:count]


def _mixed(x: Tensor) -> Tensor:
    """Mix 32-bit integers in place."""
    shifted = torch.empty_like(x)
    for shift, factor in ((16, 0x21F0AAAD), (15, 0xD35A2D97 - 2**32), (15, 1)):
        torch.bitwise_right_shift(x, shift, out=shifted)
        x.bitwise_xor_(shifted.bitwise_and_((1 << (32 - shift)) - 1))  # int32 keeps its sign when it is shifted
        if factor != 1:
            x.mul_(factor)
    return x


def _halves(seed: int) -> tuple[int, int]:
    """Return two signed 32-bit numbers that differ wildly for seeds that are near each other (splitmix64)."""
    z = (seed + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    z ^= z >> 31
    first, second = z >> 32, z % 2**32
    return first - (first >> 31 << 32), second - (second >> 31 << 32)
