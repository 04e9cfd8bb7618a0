"""Checks of the images that a caller gives: tensors of finite numbers in [-1, 1], each with its remedy."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from .operators.composition import known_of
from .priors.prior import Prior
from .protocols import Denoiser, LinearOperator

PLAIN: Final = 2.0
"""Size of values up to which y is taken without a look at A: images in [-1, 1] reach it only if A sharpens."""
DEVIATIONS: Final = 6.0
"""Deviations of noise that count as noise."""
BEYOND: Final = 2.0
"""RMS of y in units of the largest RMS that A gives an image in [-1, 1]; images in 0..255 have about 100."""
POWER_ROUNDS: Final = 8


def tensor_of(name: str, x: object) -> Tensor:
    """Return a tensor as it is.

    Raises:
        TypeError: It is something else; the text says how to make a tensor.
    """
    if isinstance(x, Tensor):
        return x
    kind = f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")
    if kind.startswith("PIL."):
        ways = f"torch.from_numpy(numpy.array({name})).permute(2, 0, 1)[None] / 127.5 - 1 for an image in colour"
    elif kind.startswith("numpy."):
        ways = (
            f"torch.from_numpy({name}) if it is a batch (images, channels, height, width) in [-1, 1], or "
            f"torch.from_numpy({name}).permute(2, 0, 1)[None] / 127.5 - 1 if it is an image (height, width, channels) "
            "of bytes"
        )
    else:
        ways = f"torch.stack({name}) for a list of images, or torch.tensor({name}) for numbers"
    raise TypeError(f"{name} must be a tensor, got {kind}; make one by {ways}")


def numbers_of(name: str, x: Tensor, prior: Prior | Denoiser) -> Tensor:
    """Return images in the prior's precision; raise ValueError if they are no finite numbers."""
    if not x.is_floating_point():
        raise ValueError(
            f"{name} holds {x.dtype}, images are numbers in [-1, 1]; bytes become some by {name} / 127.5 - 1"
        )
    if not bool(torch.isfinite(x).all()):
        raise ValueError(f"{name} holds nan or inf")
    return x.float() if isinstance(prior, Prior) else x


def checked(y: Tensor, operator: LinearOperator, prior: Prior | Denoiser) -> Tensor:
    """Return images in the prior's precision.

    Raises:
        ValueError: There is no image, or the prior does not restore such images.
    """
    if y.numel() == 0:
        raise ValueError(f"y holds no image: its shape is {tuple(y.shape)}")
    precise = numbers_of("y", y, prior)
    channels = operator.image_shape(tuple(y.shape))[0]
    if isinstance(prior, Prior) and prior.channels not in (None, channels):
        grey = "; a grey image is three channels alike: y.expand(-1, 3, -1, -1)" if channels == 1 else ""
        raise ValueError(
            f"prior {prior.name!r} restores images of {prior.channels} channels, these would have {channels}{grey}"
        )
    return precise


@torch.no_grad()
def check_range(y: Tensor, operator: LinearOperator, sigma_y: float) -> None:
    """Check that A may have made y of images in [-1, 1].

    ||A x|| <= ||A|| ||x|| bounds the RMS of y, whatever y is: an image, or coefficients. The norm is found by power
    iteration, only where values of y are large.

    Args:
        y: Observations, shape (B, c, h, w).
        operator: A.
        sigma_y: Largest standard deviation of their noise.

    Raises:
        ValueError: y is far outside, such as an image in 0..255.
    """
    largest = float(y.abs().max())
    if largest <= PLAIN + DEVIATIONS * sigma_y:
        return
    shape = operator.image_shape(tuple(y.shape))
    known = known_of(operator, y)
    most = gain_of(operator, shape, like=y) * math.sqrt(math.prod(shape) / known[0].numel())
    if float(known.square().mean((1, 2, 3)).sqrt().max()) > BEYOND * most + sigma_y:
        lowest = float(y.min())
        raise ValueError(
            f"y holds values from {lowest:.4g} to {float(y.max()):.4g}, and no image in [-1, 1] gives so large ones; "
            "images in 0..255 become such images by y / 127.5 - 1, in 0..1 by 2 * y - 1"
        )


def gain_of(operator: LinearOperator, shape: tuple[int, int, int], *, like: Tensor) -> float:
    """Return about ||A||, by power iteration from a random image of this shape."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, *shape, generator=generator, dtype=torch.float64).to(like)
    for _ in range(POWER_ROUNDS):
        x = operator.adjoint(operator(x / torch.linalg.vector_norm(x)))
    return math.sqrt(float(torch.linalg.vector_norm(x)))
