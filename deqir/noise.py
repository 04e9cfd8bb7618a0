"""Noise: an image's own, a function of the job's seed and its content, never of its place; and that of grey images."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from .devices import sent
from .shapes import Float

GREY: Final = math.sqrt(3)
"""By how much noise that is the same in three channels counts for more than noise that is different in each.

A network for colour knows the second kind, whose mean over the channels is weaker by that than the noise of each. Grey
images are given to it as three equal channels, all noise of which is in their mean.
"""


def image_seed(seed: int, content_sha256: str) -> int:
    """Return the 63-bit seed of one image from the job's seed and the SHA-256 (hex) of the image's bytes."""
    digest = hashlib.sha256(f"{seed}\0{content_sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def chain_noise(
    seeds: Sequence[int], shape: Sequence[int], steps: int, *, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "B positions C H W"]:
    """Return standard normal noise of each image, from a CPU generator each: the start's, then z_0..z_{T-1}.

    Drawn on the CPU in float32 whatever the device, so that every machine draws the same.
    """
    noise = torch.empty(len(seeds), steps + 1, *shape, dtype=torch.float32, device="cpu")
    for own, seed in zip(noise, seeds, strict=True):
        torch.randn(own.shape, generator=torch.Generator().manual_seed(seed), out=own)
    return sent(noise, device, dtype)
