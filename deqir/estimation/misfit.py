"""A check of an image against its assumed operator: wrong assumptions show before anything is restored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from deqir.operators import KernelSuperResolution, SuperResolution
from deqir.protocols import LinearOperator
from deqir.shapes import Bool, Float

from .noise import median, plane_noises
from .results import LEVELS, ROUNDING, clipped, in_levels
from .shrinking import aliasing
from .softness import fit_softness
from .spectrum import block_powers, natural_levels, pooled, quiet_floor, sharpest

PHOTOGRAPHS_OWN: Final = 0.6
"""Largest variance of a photograph's own blur, in pixels of y squared."""
SOFTER, SHARPER = 0.5, 0.4
"""Extra variance without fault, as a share of the operator's and the photographs' own variance."""
UNLIKELY: Final = 0.15
"""Threshold of the residual of the best fit without fault minus the residual of the best fit of all."""
UNLIKE: Final = 0.7
"""Threshold of the residual of the best fit of all, in nepers of power squared."""
TEXTURE_ALLOWED: Final = 2.5
"""Undeclared noise without fault, in levels, for a y with all of its high frequencies."""
SLACK: Final = 1.25
"""Variance of the noise without fault, as a multiple of the declared variance."""
SHARPER_WHEN_SHRUNK: Final = 2.0
FINEST_WIDTH: Final = 1.5
SMALLEST_SIDE: Final = 32
TELLING: Final = 3.0
SMALLEST_JUDGED_FOR_NOISE: Final = 64
"""Fewest pixels a side for a check of the noise; smaller images may have no smooth place."""
FLAT: Final = 3.0
"""Least power of the sharpest blocks at low frequencies, per power of noise, for a judgement."""
STRAIGHT: Final = 0.99
BEND: Final = 2.1
"""Second difference of ramps, in levels: three standard deviations of the second difference of rounding."""
AVERAGE_ALIASES: Final = 3.0
"""Evidence for aliasing without fault in averages of blocks, which let some of it through."""
NO_FLOOR: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Distances of an image from its operator's pictures of photographs, in units of their thresholds.

    Attributes:
        softer, sharper: y has less, or more, power at high frequencies than A leaves of a photograph.
        unlike: y's spectrum has another shape than the spectrum of A's picture of any photograph.
        noisier: y has more noise than declared.
        aliased: y shows aliasing, which the operator's filter would have taken away.
    """

    softer: float
    sharper: float
    unlike: float
    noisier: float
    aliased: float = 0.0

    @property
    def score(self) -> float:
        """The largest of the numbers."""
        return max(self.softer, self.sharper, self.unlike, self.noisier, self.aliased)

    @property
    def suspect(self) -> bool:
        """True if the operator, or the declared noise, is unlikely to be right."""
        return self.score > 1


@torch.no_grad()
def check_fit(
    y: Float[Tensor, "c h w"], operator: LinearOperator, *, sigma_y: float = 0.0, jpeg_noise: float = 0.0
) -> Misfit | None:
    """Return the misfit of y and its operator; None if there is nothing to judge by.

    The visible part of the image may be too small, or flat: its sharpest blocks hold little beside noise and rounding.

    A x = y can be solved exactly for almost any y, so the restored image cannot show a wrong A. The statistics of y
    can: A is applied to a random field with the power spectrum of photographs, and its spectrum is compared with y's
    (docs/estimation.md).

    Args:
        y: The degraded image in [-1, 1].
        sigma_y: The assumed noise of y, in [-1, 1].
        jpeg_noise: Standard deviation of the error of y's JPEG compression, in [-1, 1]. It is no fault of the operator,
            and takes high frequencies away: a y softer than the operator's is not suspected.

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
    busy = float(seen.y[len(seen.y) // 4 : len(seen.y) // 2].mean())
    if busy < FLAT * variance / len(y) / factor**2 or _is_ramp(pooled(views.y, factor), factor):
        return None
    allowed = SLACK * (variance + (jpeg_noise * LEVELS) ** 2) + (TEXTURE_ALLOWED * passed) ** 2
    found = fit_softness(
        seen.y, seen.made, floor=variance / len(y) / factor**2, quiet=min(seen.quiet, allowed / factor**2)
    )
    room = PHOTOGRAPHS_OWN + blur / factor**2
    loss = found.loss(-SHARPER * room, SOFTER * room) / UNLIKELY
    seen_levels = torch.where(views.hidden, 0.0, levels)  # black counts as clipped, so it is left out
    noise = _noise(seen_levels, passed) if min(y.shape[-2:]) >= SMALLEST_JUDGED_FOR_NOISE else 0.0
    return Misfit(
        softer=loss if found.extra > 0 and not jpeg_noise else 0.0,
        sharper=loss if found.extra < 0 else 0.0,
        unlike=found.residual / UNLIKE,
        noisier=noise / allowed**0.5,
        aliased=_aliased(y, operator),
    )


def _is_ramp(plane: Float[Tensor, "H W"], factor: int) -> bool:
    """Return True if the pixels bend hardly more than rounding bends them."""
    bends = torch.cat([plane.diff(n=2, dim=0).flatten(), plane.diff(n=2, dim=1).flatten()]).abs()
    return float(bends.sort().values[int(STRAIGHT * (len(bends) - 1))]) <= BEND / factor


def _aliased(y: Float[Tensor, "c h w"], operator: LinearOperator) -> float:
    """Return the evidence for aliasing that a smooth filter would have taken away, in units of its threshold."""
    if not isinstance(operator, SuperResolution | KernelSuperResolution):
        return 0.0
    own = AVERAGE_ALIASES if isinstance(operator, SuperResolution) else 1.0
    return max(0.0, aliasing(y) or 0.0) / own


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spectra:
    """Power spectrum of y's sharpest blocks, power of its quietest blocks, and the spectra for comparison."""

    y: Float[Tensor, " K"]
    quiet: float
    made: Float[Tensor, " K"]
    natural: Float[Tensor, " K"]

    @property
    def mostly_noise(self) -> bool:
        return int((self.y > TELLING * self.quiet).sum()) <= len(self.y) // 3

    @property
    def passed(self) -> float:
        """Share of the texture at high frequencies passed by A; nearly 1 if A only shrinks images."""
        high = len(self.made) * 5 // 8
        return min(1.0, SHARPER_WHEN_SHRUNK * float((self.made[high:].mean() / self.natural[high:].mean()).sqrt()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Views:
    """y, A's picture of a natural field, the field on y's grid (all in levels), and a mask of pixels hidden from A."""

    y: Float[Tensor, "h w"]
    made: Float[Tensor, "h w"]
    natural: Float[Tensor, "h w"]
    hidden: Bool[Tensor, "h w"]

    def telling(self, spectra: _Spectra, blur: float) -> tuple[int, _Spectra]:
        """Return the factor for shrinking the images, and the spectra of the shrunk images.

        The least power of 2 to make a blur of `blur` pixels narrow and to leave y more than noise at a third of the
        frequencies, as far as the image is large enough.
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
        """Return the spectra of the images, each shrunk by a factor; None if no block is left."""
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
    """Return a lower bound for the noise of y, in levels.

    Fine texture all over an image looks like noise, but it is alike in all channels, while noise differs from channel
    to channel. For a colour image the noise in the difference of two channels therefore is an upper limit.
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
