"""The verdict on a restored image: reasons to look at it before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from deqir.operators import Deblurring, Denoising, FramedDeblurring, SeparableDeblurring
from deqir.protocols import LinearOperator
from deqir.shapes import Float

from .misfit import Misfit
from .results import LEVELS, in_levels

REACH: Final = 2
"""Pixels to each side in which the range of the given image is taken."""
OVERSHOOT: Final = 1.6
"""Mean excess over this range, per mean step between neighbours of the given image. Medians on fourteen training
photographs: 0.4 with the right blur, 4 with a width told 1.5 times too large, 8 with twice."""
CONTRAST: Final = 0.5
"""Added to the mean step, in levels, for images that are nearly flat."""
QUIET: Final = 0.25
"""Share of the given image taken for its smoothest."""
ROUGHER: Final = 1.4
"""Roughness of the smoothest places, per roughness of the given image there. Medians on the same photographs: 0.4 with
the right blur and noise, 2.5 with a width 1.5 times too large, 4.8 with a fifth of the noise, 3.2 with JPEG untold.
A perfect result may have 2 to 8: a prior that restores fine texture in full needs another threshold."""
ROUNDED: Final = 0.3
"""Roughness of a flat image after rounding, in levels."""
INCONSISTENT: Final = 1.5
"""RMS of A x - y per declared noise without fault; the right noise gives up to 1."""
CONSISTENT: Final = 2.0
"""Part of this RMS without fault in any image, in levels: rounding, and clipping to 0..255."""
REMOVED: Final = 0.55
"""Least noise removed per noise declared. The right noise gives 0.75 to 0.92, noise of 3 levels told as 15 0.28 to
0.41: the rest is detail."""
COLOURED: Final = 8.0
"""Change of the spread of colours without fault, in levels."""
PATCH: Final = 8
"""Side in pixels of the patches whose colours are compared: noise has colours of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Reasons against a restored image, each in words for a person; without a reason the image is trusted."""

    reasons: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        """True if nothing speaks against the image."""
        return not self.reasons


@torch.no_grad()
def judge(
    restored: Float[Tensor, "C H W"],
    given: Float[Tensor, "c h w"],
    operator: LinearOperator,
    *,
    sigma_y: float = 0.0,
    misfit: Misfit | None = None,
    colour_asked: bool = False,
    exact: bool = True,
) -> Verdict:
    """Return the verdict on a restored image.

    The constants were measured with the bundled prior on training photographs (docs/estimation.md).

    Args:
        restored: The pixels as they are written, in [-1, 1].
        given: The image before the restoration, in [-1, 1].
        sigma_y: Declared noise of `given`, in [-1, 1], errors of compression included.
        misfit: The result of `check_fit`; None: no opinion.
        colour_asked: Colours were to be invented.
        exact: A(restored) has to agree with `given` up to `sigma_y`; False where the noise is known in another way,
            as for the coefficients of a JPEG.

    Raises:
        ValueError: An image holds nan or inf, or does not fit the operator.
    """
    after, before = in_levels(restored), in_levels(given)
    reasons = list[str]()
    if misfit is not None and misfit.suspect:
        reasons.append(_words(misfit))
    if exact:
        reasons += _consistency(restored, given, operator, sigma_y)
    if isinstance(operator, SeparableDeblurring | Deblurring | FramedDeblurring | Denoising):
        reasons += _ringing(after.mean(0), before.mean(0))
    if not colour_asked:
        same_size = functional.adaptive_avg_pool2d(after[None], (before.shape[-2], before.shape[-1]))[0]
        change = spread_of_colours(same_size) - spread_of_colours(before)
        if abs(change) > COLOURED:
            reasons.append("colours appeared that the image did not have" if change > 0 else "colours were lost")
    return Verdict(reasons=tuple(reasons))


def excess(after: Float[Tensor, "H W"], before: Float[Tensor, "H W"]) -> float:
    """Return the mean excess of a plane over the range of another plane within `REACH` pixels, per mean step of it."""
    low, high = _range(before)
    beyond = (after - high).clamp(min=0) + (low - after).clamp(min=0)
    steps = torch.cat([before.diff(dim=0).flatten(), before.diff(dim=1).flatten()]).abs().mean()
    return float(beyond.mean() / (steps + CONTRAST))


def roughness_gained(after: Float[Tensor, "H W"], before: Float[Tensor, "H W"]) -> float:
    """Return the roughness of a plane in the smoothest places of another plane, per roughness of the other there."""
    low, high = _range(before)
    contrast = (high - low)[1:-1, 1:-1]
    quiet = contrast <= contrast.flatten().sort().values[int(QUIET * (contrast.numel() - 1))]
    own, others = (float(_roughness(plane)[quiet].mean()) for plane in (after, before))
    return own / (others + ROUNDED)


def spread_of_colours(levels: Float[Tensor, "C H W"]) -> float:
    """Return the standard deviation of colour over patches, in levels; a single tint of a grey image has none.

    The differences of channels to their mean are taken free of the part that follows brightness.
    """
    if len(levels) < 3 or min(levels.shape[-2:]) < PATCH:
        return 0.0
    patches = functional.avg_pool2d(levels[None], PATCH)[0].flatten(1)
    grey = patches.mean(0)
    chroma = patches - grey
    chroma, grey = chroma - chroma.mean(1, keepdim=True), grey - grey.mean()
    slope = (chroma @ grey) / grey.square().sum().clamp(min=1e-6)
    return float((chroma - slope[:, None] * grey).square().mean().sqrt())


def _words(misfit: Misfit) -> str:
    """Return the misfit in words."""
    numbers = {
        "the image is softer than this treatment expects": misfit.softer,
        "the image is sharper than this treatment expects: a smaller width or scale may be right": misfit.sharper,
        "no amount of blur explains the image": misfit.unlike,
        "the image has more noise than was told": misfit.noisier,
        "every n-th pixel seems to have been kept: kernel nearest may be right": misfit.aliased,
    }
    return max(numbers, key=lambda text: numbers[text])


def _consistency(
    restored: Float[Tensor, "C H W"], given: Float[Tensor, "c h w"], operator: LinearOperator, sigma_y: float
) -> list[str]:
    difference = operator(restored[None])[0].float().cpu() - given.float().cpu()
    rms, told = float(difference.square().mean().sqrt()) * LEVELS, sigma_y * LEVELS
    if rms > INCONSISTENT * told + CONSISTENT:
        return [f"no agreement: degraded again, the result differs by {rms:.1f} levels, for a noise of {told:.1f} told"]
    if isinstance(operator, Denoising) and rms < REMOVED * told - CONSISTENT:
        return [f"detail may be lost: noise of {told:.1f} levels was told, but the image has about {rms:.1f}"]
    return []


def _ringing(after: Float[Tensor, "H W"], before: Float[Tensor, "H W"]) -> list[str]:
    """Return the reasons in a result of the given image's size."""
    if after.shape != before.shape or min(after.shape) < 2 * PATCH:
        return []
    reasons = list[str]()
    if excess(after, before) > OVERSHOOT:
        reasons.append("rims beside edges: the blur may be narrower than was told")
    if roughness_gained(after, before) > ROUGHER:
        reasons.append("smooth places became rough: the image may have more noise than was told, or less blur")
    return reasons


def _range(plane: Float[Tensor, "H W"]) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Return the least and the largest value near each pixel."""
    wide, side = functional.pad(plane[None, None], (REACH,) * 4, mode="replicate"), 2 * REACH + 1
    return -functional.max_pool2d(-wide, side, 1)[0, 0], functional.max_pool2d(wide, side, 1)[0, 0]


def _roughness(plane: Float[Tensor, "H W"]) -> Float[Tensor, "h w"]:
    """Return the difference of each pixel inside from the mean of its four neighbours."""
    around = plane[:-2, 1:-1] + plane[2:, 1:-1] + plane[1:-1, :-2] + plane[1:-1, 2:]
    return (plane[1:-1, 1:-1] - around / 4).abs()
