"""Blur and downsampling kernels: the picture of a point of light. All are float64 and sum to 1.

A 1-D kernel belongs to one axis of a separable operator, a 2-D kernel to `Deblurring`. The middle of a kernel of n
pixels is pixel n // 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from deqir.shapes import Float

FINENESS = 16
"""Samples per pixel and axis to find the share of a pixel covered by a shape."""


def gaussian(width: float) -> Float[Tensor, " n"]:
    """Return a 1-D Gaussian out to four standard deviations of `width` pixels."""
    _check(width, "width", "standard deviation")
    x = _offsets(math.ceil(4 * width))
    return _normalised(torch.exp(-0.5 * (x / width) ** 2))


def uniform(length: int) -> Float[Tensor, " n"]:
    """Return the mean of `length` pixels."""
    if length < 1:
        raise ValueError(f"a uniform kernel needs a length of at least 1 pixel, got {length}")
    return torch.full((length,), 1 / length, dtype=torch.float64)


def bicubic(scale: int) -> Float[Tensor, " n"]:
    """Return the antialiased cubic kernel (a = -0.5) for downsampling by `scale`.

    It has 4 * scale taps, as DDRM and DDNM define it, centred on the block of pixels averaged into one pixel. An odd
    scale has a pixel in the middle of its block and therefore 4 * scale - 1 taps; the outermost two would be 0.

    References:
        Keys (1981), Cubic convolution interpolation, https://doi.org/10.1109/TASSP.1981.1163711
        DDNM, https://arxiv.org/abs/2212.00490
    """
    if scale < 1:
        raise ValueError(f"a bicubic kernel needs a scale of at least 1, got {scale}")
    taps = 4 * scale - scale % 2
    x = ((torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2) / scale).abs()
    inner = 1.5 * x**3 - 2.5 * x**2 + 1
    outer = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return _normalised(torch.where(x <= 1, inner, outer))


def lanczos(scale: int) -> Float[Tensor, " n"]:
    """Return the antialiased Lanczos kernel of three lobes for downsampling by `scale`: 6 * scale taps, or one less.

    As for `bicubic`, the outermost two of 6 * scale + 1 taps of an odd scale would be 0.

    References:
        Duchon (1979), Lanczos filtering in one and two dimensions,
        https://doi.org/10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2
    """
    if scale < 1:
        raise ValueError(f"a Lanczos kernel needs a scale of at least 1, got {scale}")
    taps = 6 * scale - scale % 2
    x = (torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2) / scale
    weights = torch.sinc(x) * torch.sinc(x / 3)
    return _normalised((weights + weights.flip(0)) / 2)  # symmetric to the last bit


def gaussian_2d(along: float, across: float, angle: float = 0.0) -> Float[Tensor, "n n"]:
    """Return a Gaussian of standard deviation `along` pixels in the direction `angle` and `across` at right angles.

    The angle is in degrees, counter-clockwise from the direction of rows.
    """
    for width in (along, across):
        _check(width, "width", "standard deviation")
    u, v = _turned(_offsets(math.ceil(4 * max(along, across))), angle)
    return _normalised(torch.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2)))


def motion(length: float, angle: float = 0.0) -> Float[Tensor, "n m"]:
    """Return the blur of a camera moved evenly by `length` pixels: a line of this length, one pixel thick.

    Args:
        length: In pixels; 1 is no blur along a row or column.
        angle: In degrees, counter-clockwise from the direction of rows.
    """
    _check(length, "length", "length")
    return _coverage(math.hypot(length, 1) / 2, angle, lambda u, v: (u.abs() < length / 2) & (v.abs() < 0.5))


def disk(radius: float) -> Float[Tensor, "n n"]:
    """Return the blur of a lens out of focus: a disk of `radius` pixels."""
    _check(radius, "radius", "radius")
    return _coverage(radius, 0.0, lambda u, v: u**2 + v**2 < radius**2)


def from_array(values: ArrayLike) -> Tensor:
    """Return a kernel with these weights, divided by their sum.

    Args:
        values: Numbers in 1 dimension (an axis) or 2, or a picture of the kernel: its channels are averaged.

    Raises:
        ValueError: The kernel has another number of dimensions, is not finite, or sums to 0.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 3 and array.shape[-1] in (1, 3):
        array = array.mean(-1)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"a kernel has one dimension or two and at least one weight, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("the kernel holds nan or inf")
    if abs(array.sum()) <= 1e-6 * np.abs(array).sum():
        raise ValueError("the kernel sums to nothing, so it cannot keep an image's brightness; is the picture black?")
    return _normalised(torch.tensor(array))


def _coverage(reach: float, angle: float, inside: Callable[[Tensor, Tensor], Tensor]) -> Float[Tensor, "n m"]:
    """Return the share of each pixel covered by a shape, normalised; `reach` is its largest radius in pixels."""
    radius = math.ceil(reach + 0.5) - 1
    fine = (2 * radius + 1) * FINENESS
    x = (torch.arange(fine, dtype=torch.float64) + 0.5) / FINENESS - radius - 0.5
    covered = inside(*_turned(x, angle)).double()
    pixels = covered.view(2 * radius + 1, FINENESS, 2 * radius + 1, FINENESS).mean((1, 3))
    down, across = (radius - int((place - radius).abs().max()) for place in pixels.nonzero().mT)
    return _normalised(pixels[down : len(pixels) - down, across : len(pixels) - across])


def _turned(x: Float[Tensor, " n"], angle: float) -> tuple[Float[Tensor, "n n"], Float[Tensor, "n n"]]:
    """Return the coordinates of a square grid along and across a direction; rows of the image count downwards."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    down, right = torch.meshgrid(x, x, indexing="ij")
    return cos * right - sin * down, sin * right + cos * down


def _offsets(radius: int) -> Float[Tensor, " n"]:
    return torch.arange(-radius, radius + 1, dtype=torch.float64)


def _normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum()


def _check(value: float, name: str, meaning: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"a kernel's {name} is a {meaning} in pixels above 0, got {value}")
