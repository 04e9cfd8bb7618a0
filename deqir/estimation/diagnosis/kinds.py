"""The kind of a picture: a photograph, text and line art, graphics, or flat."""

from __future__ import annotations

from typing import Final, Literal

from torch import Tensor

from deqir.shapes import Float

from .learned import network
from .marks import kind_numbers

Kind = Literal["photograph", "text", "graphics", "flat"]
KINDS: Final[tuple[Kind, ...]] = ("photograph", "text", "graphics", "flat")
SURE: Final = 0.9
"""Probability from which a picture is no photograph: a photograph left alone costs more than graphics restored."""
SMALLEST_SIDE: Final = 16
FLATTEST: Final = 1.0
"""Standard deviation below which an image of any size is flat, in levels."""


def kind_of(levels: Float[Tensor, "C H W"]) -> Kind:
    """Return the kind of a picture in levels; a doubtful picture is a photograph."""
    if float(levels.std((1, 2), correction=0).max()) < FLATTEST:
        return "flat"
    if min(levels.shape[-2:]) < SMALLEST_SIDE:
        return "photograph"
    shares = network("kind")(kind_numbers(levels)).softmax(0)
    if 1 - float(shares[0]) < SURE:
        return "photograph"
    return KINDS[1 + int(shares[1:].argmax())]
