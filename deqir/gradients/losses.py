"""Losses for `deqir.gradients.optimise`: wishes for a restored image besides its agreement with y.

A loss is a value for each image by itself, differentiable in the image, and smaller is better. No loss may know the
original: a guide is a picture of the user, another restorer's output or a picture of the same colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from deqir.operators import Colorization
from deqir.operators.composition import known_of
from deqir.pretrained.lpips import SMALLEST, Lpips
from deqir.protocols import LinearOperator
from deqir.results import ROUNDING
from deqir.shapes import Float, Int

LUMA: Final = Colorization()
GuideName = Literal["pixels", "colour", "lpips"]


@runtime_checkable
class Loss(Protocol):
    """A loss of each image of a part of a batch; any function with this call fits."""

    def __call__(self, x: Float[Tensor, "b C H W"], rows: Int[Tensor, " b"], /) -> Float[Tensor, " b"]:
        """Return the loss of each image x in [-1, 1]; `rows` are their places in the batch."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Misfit:
    """Misfit of an image to y: mean((A x - y)^2), or 0 if the noise in y explains it.

    Values in the gaps of a mask count in the mean, but have neither a misfit nor noise.

    A chain with exact y has no misfit, and a chain with the right noise in y hardly any. This loss is for errors
    outside the chain: singular values cut by its A^+, or a degradation that A knows better than the chain.

    Attributes:
        A: The degradation; `adjoint`, `pinv` and `start` are not called.
        y: Degraded images in [-1, 1].
        sigma_y: Standard deviation of the noise in y, images in [-1, 1].
    """

    A: LinearOperator
    y: Float[Tensor, "B c h w"]
    sigma_y: float = 0.0

    def __call__(self, x: Float[Tensor, "b C H W"], rows: Int[Tensor, " b"], /) -> Float[Tensor, " b"]:
        misfit = (self.A(x) - known_of(self.A, self.y[rows])).square().flatten(1).mean(1)
        share = known_of(self.A, torch.ones_like(self.y[:1])).mean()  # a tensor: a number would wait for the device
        return (misfit - max(self.sigma_y, ROUNDING) ** 2 * share).clamp(min=0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelDistance:
    """mean((x - guide)^2), images in [-1, 1]."""

    guide: Float[Tensor, "B C H W"]

    def __call__(self, x: Float[Tensor, "b C H W"], rows: Int[Tensor, " b"], /) -> Float[Tensor, " b"]:
        return (x - self.guide[rows]).square().flatten(1).mean(1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColourDistance:
    """mean(G(c(x) - c(guide))^2): colours alone, without brightness, blurred by G.

    c(x) is x less its Rec. 601 luma. The guide need not be sharp, nor of the same exposure.

    Attributes:
        guide: Images in [-1, 1].
        blur: Standard deviation of the Gaussian G, in pixels; edges repeat.
    """

    guide: Float[Tensor, "B 3 H W"]
    blur: float = 4.0

    def __call__(self, x: Float[Tensor, "b C H W"], rows: Int[Tensor, " b"], /) -> Float[Tensor, " b"]:
        difference = x - self.guide[rows]
        luma = LUMA(difference)
        return gaussian_blur(difference - luma, self.blur).square().flatten(1).mean(1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PerceptualDistance:
    """LPIPS to the guide.

    Attributes:
        guide: Images in [-1, 1].
        lpips: The metric, where the chain runs and of its precision.

    Raises:
        ValueError: The guide is too small for LPIPS.
    """

    guide: Float[Tensor, "B 3 H W"]
    lpips: Lpips

    def __post_init__(self) -> None:
        if min(self.guide.shape[-2:]) < SMALLEST:
            raise ValueError(
                f"LPIPS needs images of at least {SMALLEST} pixels a side, got {tuple(self.guide.shape[-2:])}; "
                'compare with the guide in "pixels"'
            )

    def __call__(self, x: Float[Tensor, "b C H W"], rows: Int[Tensor, " b"], /) -> Float[Tensor, " b"]:
        distance: Tensor = self.lpips(x, self.guide[rows])
        return distance


def guided(name: GuideName, guide: Float[Tensor, "B 3 H W"], *, lpips: Lpips | None = None) -> Loss:
    """Return the distance to a guide by its name; "lpips" needs the metric.

    Args:
        guide: Images in [-1, 1], of the restored images' size.

    Raises:
        ValueError: The name is unknown, or the metric is missing.
    """
    if name not in get_args(GuideName):
        raise ValueError(f"the distance to a guide is one of {', '.join(get_args(GuideName))}, got {name!r}")
    if name == "pixels":
        return PixelDistance(guide=guide)
    if name == "colour":
        return ColourDistance(guide=guide)
    if lpips is None:
        raise ValueError('the distance "lpips" needs the metric: pass lpips=deqir.pretrained.lpips.load_lpips()')
    return PerceptualDistance(guide=guide, lpips=lpips)


def gaussian_blur(x: Float[Tensor, "B C H W"], sigma: float) -> Float[Tensor, "B C H W"]:
    """Return x blurred by a Gaussian of `sigma` pixels, cut off at 3 sigma; edges repeat."""
    reach = max(1, round(3 * sigma))
    distance = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    line = torch.exp(-(distance**2) / (2 * sigma**2))
    line = line / line.sum()
    wide = functional.pad(x, (reach, reach, reach, reach), mode="replicate").flatten(0, 1)[:, None]
    blurred = functional.conv2d(functional.conv2d(wide, line[None, None, None]), line[None, None, :, None])
    return blurred.view_as(x)
