"""The test photographs, and the three ways in which the benchmarks degrade them."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data
from torch import Tensor

from deqir.operators import Colorization, Inpainting, SuperResolution
from deqir.protocols import SpectralOperator

PHOTOGRAPHS: Final = ("astronaut", "chelsea", "coffee", "rocket")
"""The photographs in scikit-image's wheel; never trained on."""


def photograph(name: str, size: int) -> Tensor:
    """Return the middle square of one of scikit-image's photographs in [-1, 1], shape (1, 3, size, size)."""
    return middle_square(Image.fromarray(getattr(data, name)()), size)


def middle_square(image: Image.Image, size: int) -> Tensor:
    """Return the middle square of a photograph in [-1, 1], scaled to (1, 3, size, size)."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.convert("RGB").crop((left, top, left + side, top + side))
    image = square.resize((size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 127.5 - 1


def operator(problem: str, size: int) -> SpectralOperator:
    """Return 4x super-resolution, inpainting of 70 % random pixels or of text, or colorization."""
    if problem == "sr4":
        return SuperResolution(scale=4)
    if problem == "colorize":
        return Colorization()
    if problem == "inpaint70":
        return Inpainting(keep=torch.rand(size, size, generator=torch.Generator().manual_seed(0)) >= 0.7)
    return Inpainting(keep=~_text(size))


def _text(size: int) -> Tensor:
    """Lines of text over the whole image; true where there is ink."""
    plane = Image.new("L", (size, size))
    pen, height = ImageDraw.Draw(plane), max(8, size // 12)
    font = ImageFont.load_default(height)
    for row, top in enumerate(range(2, size, int(1.5 * height))):
        pen.text((2 - 3 * row, top), "the quick brown fox jumps over the lazy dog", fill=255, font=font)
    return torch.from_numpy(np.array(plane)) > 127
