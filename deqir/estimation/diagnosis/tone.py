"""Grey, one tint such as sepia, or colours: from how an image's chroma follows its luma."""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor

from deqir.estimation.spectrum import pooled
from deqir.shapes import Float

from .spectra import ycc

Tone = Literal["grey", "tint", "colour"]
COARSE: Final = (16, 8, 4)
"""Sides of squares whose mean chroma is compared, in pixels: JPEG keeps the mean over its block of 8, or 16, alone."""
FEWEST_ALONG: Final = 6
"""Squares along the shorter side for a size of them to be used."""
FINE: Final = 4
GREY: Final = 1.2
"""Root mean square of the chroma of grey images, in levels, after JPEG and noise."""
COLOURED: Final = 5.0
SPOTS: Final = 0.002
"""Chroma in levels, and the share of fine squares above it that makes a mostly grey image one with colour."""
AROUND: Final = 1.5
"""Root mean square distance of a tint's squares from its curve, in levels; those of colours are farther."""
OUTLIERS: Final = 0.02
FARTHEST: Final = 12.0
"""Distance from the curve, in levels, that more than a share `OUTLIERS` of the fine squares of a colour image has."""
DEGREE: Final = 3
"""Degree of the polynomial of luma that a tint's chroma follows: darkening and clipping bend it."""


def tone_of(levels: Float[Tensor, "C H W"]) -> Tone:
    """Return the tone of an image in levels.

    The chroma of a toned print (sepia, selenium, blue) is a function of its luma; colours differ at the same luma.
    An image of few, pale colours may be taken for a tint.
    """
    planes = ycc(levels)
    if len(planes) == 1:
        return "grey"
    fine = min(FINE, *planes.shape[-2:])
    saturation = torch.stack([pooled(plane, fine) for plane in planes[1:]]).square().sum(0).sqrt()
    if float(saturation.square().mean().sqrt()) < GREY and float((saturation > COLOURED).float().mean()) < SPOTS:
        return "grey"
    side = min(planes.shape[-2:])
    coarse = next((size for size in COARSE if side >= FEWEST_ALONG * size), 1)
    curve, distance = _curve(planes, coarse)
    if float(distance.square().mean().sqrt()) >= AROUND:
        return "colour"
    luma, chroma = _squares(planes, min(fine, coarse))
    far = (chroma - _powers(luma) @ curve).square().sum(1).sqrt() > FARTHEST
    return "colour" if float(far.double().mean()) > OUTLIERS else "tint"


def _curve(planes: Float[Tensor, "3 H W"], size: int) -> tuple[Float[Tensor, "k 2"], Float[Tensor, " n"]]:
    """Return the polynomial of chroma by luma, and each square's distance from it."""
    luma, chroma = _squares(planes, size)
    powers = _powers(luma)
    ridge = 1e-5 * len(luma) * torch.eye(DEGREE + 1, dtype=powers.dtype)
    curve = torch.linalg.solve(powers.T @ powers + ridge, powers.T @ chroma)
    return curve, (chroma - powers @ curve).square().sum(1).sqrt()


def _squares(planes: Float[Tensor, "3 H W"], size: int) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 2"]]:
    luma, *chroma = (pooled(plane, size).flatten().double() for plane in planes)
    return luma, torch.stack(chroma, 1)


def _powers(luma: Float[Tensor, " n"]) -> Float[Tensor, "n k"]:
    return torch.stack([(luma / 255) ** n for n in range(DEGREE + 1)], 1)
