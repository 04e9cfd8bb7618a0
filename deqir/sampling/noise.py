"""Noise of an image, a function of the job's seed and the image's content, never of its place; noise of grey images."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from deqir.shapes import Float

from .counter_normal import standard_normal

GREY: Final = math.sqrt(3)
"""Factor by which noise counts for more if it is the same in all three channels.

A network for colour was trained with different noise in each channel, whose mean over the channels is weaker by this
factor than the noise of each channel. It sees grey images as three equal channels, with all noise in their mean.
"""


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
