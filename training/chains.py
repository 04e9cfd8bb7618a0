"""Degradations as photographs meet them (blur, shrinking, noise or grain, JPEG), with what was done."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

Noise = Literal["none", "white", "grey", "shot", "grain"]
LUMA: Final = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What is done to a photograph, in this order.

    Attributes:
        grey: Taken without colour.
        contrast, offset: Fading: levels become contrast * levels + offset.
        blur: Standard deviation of the blur in pixels of the result.
        disk: The blur is a disk, as out of focus, else a Gaussian.
        shrink: Scale of the result, 1 or below.
        noise: "white": its own for each channel, "grey": the same for all, "shot": grows with the light, "grain":
            grey and smooth.
        level: Standard deviation of the noise, in levels.
        grain: Width of the Gaussian that smooths grain, in pixels.
        quality: JPEG's; None: never compressed.
        halved: Chroma at half the resolution.
        cut: Rows and columns cut off afterwards.
    """

    grey: bool = False
    contrast: float = 1.0
    offset: float = 0.0
    blur: float = 0.0
    disk: bool = False
    shrink: float = 1.0
    noise: Noise = "none"
    level: float = 0.0
    grain: float = 0.0
    quality: int | None = None
    halved: bool = True
    cut: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Damaged:
    """The result of a chain: levels, JPEG's luma steps, shape (8, 8), and the noise that luma got, in levels."""

    levels: Tensor
    table: Tensor | None
    luma_noise: float


def draw_chain(random: np.random.Generator, *, compressed: float = 0.75, noisy: float = 0.75) -> Chain:
    """Return a chain of random damages."""
    some = random.random
    noise: Noise = random.choice(np.array(["white", "grey", "shot", "grain", "grain"])) if some() < noisy else "none"
    fading = some() < 0.2
    contrast = random.uniform(0.4, 1) if fading else 1.0
    is_jpeg = some() < compressed
    return Chain(
        grey=some() < 0.25,
        contrast=contrast,
        offset=random.uniform(0, 255 * (1 - contrast)) if fading else 0.0,
        blur=random.uniform(0.3, 3.2 if some() < 0.85 else 6.0) if some() < 0.6 else 0.0,
        disk=some() < 0.5,
        shrink=random.uniform(0.5, 1) if some() < 0.3 else 1.0,
        noise=noise,
        level=0.0 if noise == "none" else float((50 if some() < 0.06 else 25) * random.uniform(0.15, 1) ** 1.7),
        grain=random.uniform(0.4, 1.1) if noise == "grain" else 0.0,
        quality=int(random.integers(28, 98)) if is_jpeg else None,
        halved=some() < 0.7,
        cut=(int(random.integers(8)), int(random.integers(8))) if is_jpeg and some() < 0.1 else (0, 0),
    )


def damaged(levels: Tensor, chain: Chain, random: np.random.Generator) -> Damaged:
    """Return a photograph in levels after a chain."""
    x = levels
    if chain.grey:
        x = (x * LUMA).sum(0, keepdim=True).round()
    x = chain.contrast * x + chain.offset
    if chain.blur:
        width = chain.blur / chain.shrink
        x = _blurred(x, _disk(2 * width) if chain.disk else _gaussian(width))
    if chain.shrink < 1:
        x = _shrunk(x, chain.shrink, random)
    noise = _noise(x, chain, random)
    noisy = (x + noise).round().clamp(0, 255)
    luma = (noise * LUMA).sum(0) if len(noise) == 3 else noise[0]
    level = float(luma.std())
    if chain.quality is None:
        return Damaged(levels=noisy, table=None, luma_noise=level)
    pixels, table = compressed(noisy, chain.quality, halved=chain.halved)
    top, left = chain.cut
    return Damaged(levels=pixels[:, top:, left:], table=table, luma_noise=level)


def compressed(levels: Tensor, quality: int, *, halved: bool) -> tuple[Tensor, Tensor]:
    """Return an image in levels after JPEG, and the file's luma steps."""
    buffer = io.BytesIO()
    image_of(levels).save(buffer, "JPEG", quality=quality, subsampling=2 if halved else 0)
    opened = Image.open(buffer)
    table = torch.tensor(opened.quantization[0]).reshape(8, 8).float()  # type: ignore[attr-defined]
    return levels_of(opened), table


def image_of(levels: Tensor) -> Image.Image:
    values = levels.round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)


def levels_of(image: Image.Image) -> Tensor:
    values: NDArray[np.uint8] = np.array(image)
    return torch.from_numpy(values.reshape(*values.shape[:2], -1)).permute(2, 0, 1).float()


def _noise(x: Tensor, chain: Chain, random: np.random.Generator) -> Tensor:
    if chain.noise == "none":
        return torch.zeros_like(x)
    alike = chain.noise in ("grey", "grain")
    shape = (1 if alike else len(x), *x.shape[1:])
    noise = torch.from_numpy(random.standard_normal(shape)).float()
    if chain.noise == "grain":
        noise = _blurred(noise, _gaussian(chain.grain))
        noise = noise / noise.std()
    strength = (x / 128).clamp(min=0.05).sqrt() if chain.noise == "shot" else torch.ones(1)
    return (chain.level * strength * noise).expand_as(x)


def _shrunk(x: Tensor, scale: float, random: np.random.Generator) -> Tensor:
    methods = (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BOX, Image.Resampling.BILINEAR)
    image = image_of(x)
    size = (round(scale * image.width), round(scale * image.height))
    return levels_of(image.resize(size, methods[int(random.integers(len(methods)))]))


def _gaussian(width: float) -> Tensor:
    reach = math.ceil(4 * width)
    line = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * width**2))
    kernel = torch.outer(line, line)
    return kernel / kernel.sum()


def _disk(radius: float) -> Tensor:
    reach = math.ceil(radius) + 1
    at = torch.linspace(-reach - 0.5 + 1 / 16, reach + 0.5 - 1 / 16, 8 * (2 * reach + 1))
    fine = (torch.hypot(at[:, None], at[None]) <= radius).float()
    kernel = functional.avg_pool2d(fine[None, None], 8)[0, 0]
    return kernel / kernel.sum()


def _blurred(x: Tensor, kernel: Tensor) -> Tensor:
    reach = kernel.shape[-1] // 2
    wide = functional.pad(x[:, None], (reach,) * 4, mode="reflect")
    return functional.conv2d(wide, kernel[None, None])[:, 0]
