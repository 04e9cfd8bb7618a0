"""Whether an operator can have made an image: wrong assumptions made visible before anything is restored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from deqir.protocols import LinearOperator
from deqir.shapes import Bool, Float

from .noise import median, plane_noises
from .results import LEVELS, ROUNDING, clipped, in_levels
from .softness import fit_softness
from .spectrum import block_powers, natural_levels, pooled, quiet_floor, sharpest

PHOTOGRAPHS_OWN: Final = 0.6
"""Variance of the blur that a photograph itself may have, in pixels of y squared."""
SOFTER, SHARPER = 0.5, 0.4
"""Extra variance that is no fault, in parts of the operator's and the photographs' own."""
UNLIKELY: Final = 0.15
"""Threshold of how much worse the best fit without fault is than the best of all."""
UNLIKE: Final = 0.7
"""Threshold of the residual of the best of all, in nepers of power squared."""
TEXTURE_ALLOWED: Final = 2.5
"""Noise that was not told and is no fault, in levels of a y that lost nothing at high frequencies."""
SLACK: Final = 1.25
"""The same, in parts of the variance that was told."""
SHARPER_WHEN_SHRUNK: Final = 2.0
FINEST_WIDTH: Final = 1.5
SMALLEST_SIDE: Final = 32
TELLING: Final = 3.0
SMALLEST_JUDGED_FOR_NOISE: Final = 64
"""Below that many pixels a side there may be no smooth place."""
NO_FLOOR: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """How far an image is from what its operator makes of photographs.

    Attributes:
        score: The largest of the four below, each in parts of its threshold.
        softer, sharper: y has less, or more, at high frequencies than A leaves of a photograph.
        unlike: Its spectrum has another shape than any such image.
        noisier: It has more noise than was said.
    """

    softer: float
    sharper: float
    unlike: float
    noisier: float

    @property
    def score(self) -> float:
        return max(self.softer, self.sharper, self.unlike, self.noisier)

    @property
    def suspect(self) -> bool:
        """Whether the operator, or the noise that was said, is unlikely to be right."""
        return self.score > 1


@torch.no_grad()
def check_fit(y: Float[Tensor, "c h w"], operator: LinearOperator, *, sigma_y: float = 0.0) -> Misfit | None:
    """Return how well y fits its operator; None where the image is too small, or too little of it is seen, to tell.

    A x = y can be solved exactly for almost any y, so that the restored image cannot show that A was wrong. The
    statistics of y do: A is applied to a random field with the power spectrum of photographs, and the spectra of
    both are compared (docs/estimation.md).

    Args:
        y: The degraded image in [-1, 1].
        operator: What it is said to have gone through.
        sigma_y: The noise that is said to be in y, in [-1, 1].

    Raises:
        ValueError: The operator does not fit this image's shape, or y holds nan or inf.
    """
    levels = in_levels(y)
    channels, height, width = operator.image_shape(tuple(y.shape))
    natural = natural_levels(height, width) / LEVELS - 1
    made = operator(natural.expand(1, channels, -1, -1))[0]
    if made.shape != y.shape:
        return None
    views = _Views(
        y=levels.mean(0), made=in_levels(made).mean(0), natural=natural_levels(*y.shape[-2:]), hidden=(made == 0).any(0)
    )
    own = views.spectra(1)
    if own is None:
        return None
    blur = max(0.0, fit_softness(own.made, own.natural, floor=NO_FLOOR, quiet=NO_FLOOR).extra)
    factor, seen = views.telling(own, blur**0.5)
    passed = own.passed
    variance = ROUNDING + (sigma_y * LEVELS) ** 2
    allowed = SLACK * variance + (TEXTURE_ALLOWED * passed) ** 2
    found = fit_softness(
        seen.y, seen.made, floor=variance / len(y) / factor**2, quiet=min(seen.quiet, allowed / factor**2)
    )
    room = PHOTOGRAPHS_OWN + blur / factor**2
    loss = found.loss(-SHARPER * room, SOFTER * room) / UNLIKELY
    seen_levels = torch.where(views.hidden, 0.0, levels)  # black is clipped, and left out
    noise = _noise(seen_levels, passed) if min(y.shape[-2:]) >= SMALLEST_JUDGED_FOR_NOISE else 0.0
    return Misfit(
        softer=loss if found.extra > 0 else 0.0,
        sharper=loss if found.extra < 0 else 0.0,
        unlike=found.residual / UNLIKE,
        noisier=noise / allowed**0.5,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spectra:
    """Power of y's sharpest blocks and in its quietest ones, and what it is compared with."""

    y: Float[Tensor, " K"]
    quiet: float
    made: Float[Tensor, " K"]
    natural: Float[Tensor, " K"]

    @property
    def mostly_noise(self) -> bool:
        return int((self.y > TELLING * self.quiet).sum()) <= len(self.y) // 3

    @property
    def passed(self) -> float:
        """Share of the texture at high frequencies that A lets pass; as good as all where images are only shrunk."""
        high = len(self.made) * 5 // 8
        return min(1.0, SHARPER_WHEN_SHRUNK * float((self.made[high:].mean() / self.natural[high:].mean()).sqrt()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Views:
    """y, what A makes of a natural field, that field on y's grid (all in levels), and what A does not see."""

    y: Float[Tensor, "h w"]
    made: Float[Tensor, "h w"]
    natural: Float[Tensor, "h w"]
    hidden: Bool[Tensor, "h w"]

    def telling(self, spectra: _Spectra, blur: float) -> tuple[int, _Spectra]:
        """Return by how much to shrink the images, and their spectra then.

        A blur of so many pixels becomes one of a few, and y has more than noise at a third of the frequencies.
        """
        factor = 1
        while min(self.y.shape) >= 2 * factor * SMALLEST_SIDE:
            if blur / factor < 2 * FINEST_WIDTH and not spectra.mostly_noise:
                break
            smaller = self.spectra(2 * factor)
            if smaller is None:
                break
            factor, spectra = 2 * factor, smaller
        return factor, spectra

    def spectra(self, factor: int) -> _Spectra | None:
        """Return the spectra of the images, each shrunk by a factor; None where no block is left."""
        y, made, natural = (pooled(plane, factor) for plane in (self.y, self.made, self.natural))
        hidden = pooled(self.hidden.float(), factor) > 0
        powers = block_powers(y, hidden)
        if powers is None:
            return None
        others = [block_powers(plane, hidden, side=2 * powers.shape[1]) for plane in (made, natural)]
        if others[0] is None or others[1] is None:
            return None
        return _Spectra(
            y=sharpest(powers), quiet=quiet_floor(powers), made=others[0].mean(0), natural=others[1].mean(0)
        )


def _noise(levels: Float[Tensor, "c h w"], passed: float) -> float:
    """Return the noise that y has at least, in levels.

    Fine texture that is everywhere looks like noise, but its channels go together, where noise is each channel's own:
    of an image in colour, no more counts than the difference of two channels shows.
    """
    planes = plane_noises(levels)
    if planes is None:
        return 0.0
    least = median(planes).at_least(passed)
    if len(levels) < 3 or bool((levels[0] == levels[1]).all()):
        return least
    difference = (levels[0] - levels[1]) / 2**0.5 + 128
    apart = plane_noises(torch.where(clipped(levels[:2]).any(0), 0.0, difference)[None])
    return min(least, apart[0].sigma) if apart else least
