"""The scores of an image beside its original."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from benchmarks.perception import Vgg
from deqir.metrics import psnr, ssim
from deqir.pretrained.lpips import Lpips, load_lpips

from .archive.pictures import Pixels

CLOSEST = 60.0
"""PSNR of equal images, in dB, so that means exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Closeness to the original.

    Attributes:
        psnr: In dB, at most 60.
        ssim: 1 for equal images.
        lpips: On AlexNet's features; 0 for equal images.
        vgg: LPIPS on VGG16's features.
    """

    psnr: float
    ssim: float
    lpips: float
    vgg: float


class Judge:
    """Scores images.

    Raises:
        ModelError, DownloadError: The weights of LPIPS could not be had.
    """

    @cached_property
    def _lpips(self) -> Lpips:
        return load_lpips(device="cpu")

    @cached_property
    def _vgg(self) -> Vgg:
        return Vgg()

    def score(self, pixels: Pixels, original: Pixels, *, toned: bool) -> Score:
        """Return the scores of pixels; with `toned`, after the best change of contrast and brightness."""
        pixels, original = coloured(pixels), coloured(original)
        if toned:
            pixels = np.stack([_fitted(pixels[..., c], original[..., c]) for c in range(3)], -1)
        return self._scored(np.clip(pixels, 0, 255).tobytes(), original.tobytes(), original.shape)

    @lru_cache(maxsize=8)  # noqa: B019 - one judge lives as long as the process
    def _scored(self, pixels: bytes, original: bytes, shape: tuple[int, ...]) -> Score:
        """Return the scores of an image; one that was left unchanged is scored once."""
        a, b = (_tensor(np.frombuffer(data).reshape(shape)) for data in (pixels, original))
        return Score(
            psnr=min(float(psnr(a, b)), CLOSEST),
            ssim=float(ssim(a, b)),
            lpips=float(self._lpips(a, b)),
            vgg=self._vgg(a, b),
        )


def coloured(pixels: Pixels) -> Pixels:
    """Return three channels."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)


def _fitted(plane: Pixels, original: Pixels) -> Pixels:
    """Return contrast * plane + brightness, nearest to the original in squares."""
    contrast = np.cov(plane.ravel(), original.ravel())[0, 1] / max(plane.var(ddof=1), 1e-9)
    fitted: Pixels = contrast * (plane - plane.mean()) + original.mean()
    return fitted


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
