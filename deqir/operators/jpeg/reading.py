"""From the planes of a decoded JPEG back to its coefficients, the whole numbers in the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from deqir.linalg.dct import cosines
from deqir.shapes import Bool, Float

from .coefficients import LEVEL, JpegCoefficients, zeros_of
from .layout import Layout, plane_of, transformed

ROUNDS: Final = 8
"""Rounds for samples that the decoder clipped, or that lie beyond the image."""
FEWEST: Final = 2
"""Most samples in a row of colour that libjpeg only repeats."""


def coefficients_of(
    planes: Float[Tensor, "components H W"], steps: Float[Tensor, "components 8 8"], layout: Layout
) -> JpegCoefficients:
    """Return the coefficients of a JPEG decoded by libjpeg or one of its kin.

    The decoder made the components from multiples of the steps, rounded them to 8 bits, clipped them, and enlarged
    colour by its triangular filter. Each of these is undone: the filter by least squares, rounding to 8 bits by
    rounding to multiples of the steps. Clipped samples and samples beyond the image follow from these multiples, in
    turns. Steps of 1 or 2 levels may leave errors of one multiple, coarser steps hardly any.

    Args:
        planes: Y, Cb and Cr of the image in levels, 0 to 255, all of the image's size; or Y alone.
        steps: Quantisation steps of the components in levels.
        layout: Their sampling.
    """
    height, width = planes.shape[-2:]
    (down, across), (rows, columns) = layout.most, layout.padded(height, width)
    values = list[Tensor]()
    parts = zip(planes.double(), layout.factors, steps.double(), zeros_of(len(steps)) * LEVEL, strict=True)
    for n, (plane, (v, h), step, zero) in enumerate(parts):
        smaller = (down // v, across // h) if len(layout.factors) > 1 else (1, 1)
        samples = _samples(plane, smaller) - (LEVEL if n == 0 else 128.0)
        low, high = (0.0 if n else 128 - LEVEL) - 128, (0.0 if n else 128 - LEVEL) + 127
        full = functional.pad(
            samples[None, None],
            (0, columns // smaller[1] - samples.shape[1], 0, rows // smaller[0] - samples.shape[0]),
            mode="replicate",
        )[0, 0]
        inside = torch.zeros_like(full, dtype=torch.bool)
        inside[: samples.shape[0], : samples.shape[1]] = True
        values.append(_multiples(full, inside, step, zero, (low, high)))
    return JpegCoefficients(layout=layout, steps=steps, values=tuple(values), height=height, width=width)


def _multiples(
    plane: Float[Tensor, "h w"], inside: Bool[Tensor, "h w"], step: Tensor, zero: Tensor, ends: tuple[float, float]
) -> Tensor:
    """Return the multiples of the steps whose plane, rounded and clipped, is the given one."""
    basis, (low, high) = cosines(), ends
    at_low, at_high = inside & (plane <= low + 0.5), inside & (plane >= high - 0.5)
    free = ~inside | at_low | at_high
    known = plane
    for _ in range(ROUNDS if bool(free.any()) else 0):
        values = ((transformed(plane) - zero) / step).round()
        decoded = plane_of(basis.mT @ (values * step + zero) @ basis)
        open_ended = torch.where(at_low, decoded.clamp(max=low), torch.where(at_high, decoded.clamp(min=high), decoded))
        plane = torch.where(free, open_ended, known)
    return ((transformed(plane) - zero) / step).round().to(torch.int32)


def _samples(plane: Float[Tensor, "H W"], smaller: tuple[int, int]) -> Float[Tensor, "h w"]:
    """Return the samples of a component that libjpeg enlarged by these factors."""
    down, across = smaller
    width = -(-plane.shape[1] // across)
    triangular = smaller == (2, 1) or (smaller in ((1, 2), (2, 2)) and width > FEWEST)
    for axis, factor in enumerate(smaller):
        if factor > 1:
            along = plane.movedim(axis, 0)
            plane = (_halved(along) if triangular else _averaged(along, factor)).movedim(0, axis)
    return plane


def _averaged(x: Float[Tensor, "N ..."], factor: int) -> Float[Tensor, "n ..."]:
    """Return the mean of each `factor` neighbours; the last group may be smaller."""
    return torch.stack([part.mean(0) for part in x.split(factor)])


def _halved(x: Float[Tensor, "N W"]) -> Float[Tensor, "n W"]:
    """Return the c for which x[2i] = (3 c[i] + c[i-1]) / 4 and x[2i+1] = (3 c[i] + c[i+1]) / 4, by least squares.

    The ends repeat: c[-1] = c[0]. The normal equations are tridiagonal.
    """
    n, even, odd = -(-len(x) // 2), x[0::2], x[1::2]
    right = 3 * even
    right[: len(odd)] += 3 * odd
    right[:-1] += even[1:]
    right[1:] += odd[: n - 1]
    right[0] += even[0]
    diagonal = [20.0] * n
    diagonal[0] += 6.0
    if len(odd) == n:
        right[-1] += odd[-1]
        diagonal[-1] += 6.0
    else:
        diagonal[-1] -= 10.0
    return _tridiagonal(diagonal, 6.0, 4 * right)


def _tridiagonal(diagonal: Sequence[float], beside: float, right: Float[Tensor, "n W"]) -> Float[Tensor, "n W"]:
    """Solve for x with this diagonal and this number beside it, by elimination from top to bottom and back."""
    pivots, x = [diagonal[0]], [right[0]]
    for place in range(1, len(diagonal)):
        share = beside / pivots[-1]
        pivots.append(diagonal[place] - share * beside)
        x.append(right[place] - share * x[-1])
    x[-1] = x[-1] / pivots[-1]
    for place in range(len(diagonal) - 2, -1, -1):
        x[place] = (x[place] - beside * x[place + 1]) / pivots[place]
    return torch.stack(x)
