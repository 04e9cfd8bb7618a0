"""The linear algebra behind separable operators: a matrix and its singular value decomposition for each axis."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

import torch
from torch import Tensor

from deqir.protocols import Gain
from deqir.shapes import Float

from . import kernels
from .sharpening import UnsharpMask

T = TypeVar("T")
Taps = tuple[float, ...]

NOISE_DAMPING: Final = 4.0
"""Damping of a start per unit of sigma_y: noise hides details of which a blur leaves a smaller share."""
_DECOMPOSING: Final = threading.Lock()


def both(value: T | tuple[T, T]) -> tuple[T, T]:
    """Return the values for columns and for rows: the same value twice, or the given pair."""
    return value if isinstance(value, tuple) else (value, value)


def check_sides(operator: str, scale: int | tuple[int, int], shape: torch.Size) -> None:
    """Raise ValueError if the sides of an image are no multiples of the scale."""
    down, across = both(scale)
    if shape[-2] % down or shape[-1] % across:
        sides = f"{down}" if down == across else f"{down} (height) and {across} (width)"
        raise ValueError(
            f"{operator}(scale={scale}) needs sides divisible by {sides}, got {tuple(shape[-2:])}; "
            "crop or pad the image first"
        )


def check_threshold(threshold: float) -> None:
    """Raise ValueError for a share of the largest singular value outside of 0..1."""
    if not 0 < threshold < 1:
        raise ValueError(f"the threshold is a share of the largest singular value between 0 and 1, got {threshold}")


def check_damping(damping: float) -> None:
    """Raise ValueError for a damping of 0 or below, or not finite."""
    if not 0 < damping < math.inf:
        raise ValueError(f"the damping is a singular value above 0, got {damping}")


@dataclass(frozen=True, slots=True)
class Separable:
    """The linear algebra of a kernel and a stride for each axis, for images of any size.

    Attributes:
        taps: The kernel of columns, then of rows.
        strides: Distance of the values kept along columns and rows, in pixels.
        threshold: Singular values up to this share of the largest are cut.
        mask: A sharpening of y after the filters. It needs symmetric kernels: their left singular vectors are the
            cosines that a mask only multiplies.
    """

    taps: tuple[Taps, Taps]
    strides: tuple[int, int]
    threshold: float
    mask: UnsharpMask | None = None

    @classmethod
    def of(
        cls,
        pair: tuple[Tensor, Tensor],
        strides: tuple[int, int],
        threshold: float,
        *,
        mask: UnsharpMask | None = None,
    ) -> Separable:
        """Return the algebra of two kernels of any dtype after checking them."""
        check_threshold(threshold)
        for kernel in pair:
            if kernel.ndim != 1:
                raise ValueError(
                    f"a separable kernel has one dimension, got shape {tuple(kernel.shape)}; "
                    "Deblurring takes kernels of two dimensions"
                )
        first, second = (tuple(kernels.from_array(kernel.detach().cpu()).tolist()) for kernel in pair)
        if mask is not None and not all(map(_symmetric, (first, second), strides)):
            raise ValueError("sharpening needs kernels that are symmetric about the middle of their block")
        return cls((first, second), strides, threshold, mask)

    def image_shape(self, y_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return the shape (C, H, W) of the image for a y of this shape."""
        channels, height, width = y_shape[-3:]
        return channels, height * self.strides[0], width * self.strides[1]

    def apply(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
        """Return A x."""
        down, across = self._matrices(x, x.shape[-2:])
        return self.sharpened(down @ x @ across.mT)

    def adjoint(self, y: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
        """Return A^T y."""
        down, across = self._matrices(y, self.image_shape(tuple(y.shape))[1:])
        return down.mT @ self.sharpened(y) @ across  # the mask is its own transpose

    def sharpened(self, y: Float[Tensor, "B C h w"], power: int = 1) -> Float[Tensor, "B C h w"]:
        """Return y sharpened by the mask, or with the mask undone if `power` is -1."""
        if self.mask is None:
            return y
        down, across = self._factors(y, self.image_shape(tuple(y.shape))[1:])
        coefficients = self.mask.gains(y) ** power * (down.U.mT @ y @ across.U)
        return down.U @ coefficients @ across.U.mT

    def pinv(self, y: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
        """Return A^+ y without the cut singular values."""
        return self.back(y, lambda s: torch.where(self._kept(s), 1 / s, 0.0))

    def back(self, y: Float[Tensor, "B C h w"], gain: Gain) -> Float[Tensor, "B C H W"]:
        """Return V gain(s) U^T y over all singular values, the cut ones included."""
        down, across = self._factors(y, self.image_shape(tuple(y.shape))[1:])
        coefficients = down.U.mT @ y @ across.U
        return down.V @ (gain(self._values(y, down, across)) * coefficients) @ across.V.mT

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain) -> Float[Tensor, "B C H W"]:
        """Return V gain(s) V^T v, with s = 0 for the cut singular values."""
        down, across = self._factors(v, v.shape[-2:])
        coarse = v[..., :: self.strides[0], :: self.strides[1]]
        s = self._values(coarse, down, across)
        unseen = gain(v.new_zeros(1, 1, 1, 1))
        seen = gain(torch.where(self._kept(s), s, 0.0))
        return unseen * v + down.V @ ((seen - unseen) * (down.V.mT @ v @ across.V)) @ across.V.mT

    def _values(self, y: Tensor, down: _Factors, across: _Factors) -> Float[Tensor, "1 1 h w"]:
        """Return the singular values of A; only the shape, place and precision of y are used."""
        products = (down.s[:, None] * across.s)[None, None]
        return products if self.mask is None else products * self.mask.gains(y)

    def _kept(self, s: Tensor) -> Tensor:
        return s > self.threshold * s.max()

    def _matrices(self, like: Tensor, lengths: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        return self._of_axes(_matrix, like, lengths)

    def _factors(self, like: Tensor, lengths: tuple[int, ...]) -> tuple[_Factors, _Factors]:
        with _DECOMPOSING:  # two threads must not decompose the same axis
            return self._of_axes(_factors, like, lengths)

    def _of_axes(self, make: Callable[..., T], like: Tensor, lengths: tuple[int, ...]) -> tuple[T, T]:
        """Return a property of each axis, where `like` is and in its precision."""
        axes = zip(self.taps, self.strides, lengths, strict=True)
        first, second = (make(taps, stride, length, like.dtype, like.device) for taps, stride, length in axes)
        return first, second


class _Factors(NamedTuple):
    """The thin singular value decomposition U diag(s) V^T of the matrix of one axis."""

    U: Float[Tensor, "h h"]
    s: Float[Tensor, " h"]
    V: Float[Tensor, "H h"]


def _symmetric(taps: Taps, stride: int) -> bool:
    """Return True if a kernel is symmetric about the middle of its block."""
    return taps == taps[::-1] and (len(taps) - stride) % 2 == 0


@lru_cache(maxsize=8)
def _matrix(taps: Taps, stride: int, length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # the next caller of a cached tensor may want gradients
        return axis_matrix(taps, stride, length).to(device, dtype)


@lru_cache(maxsize=8)
def _factors(taps: Taps, stride: int, length: int, dtype: torch.dtype, device: torch.device) -> _Factors:
    with torch.inference_mode(False):
        return _Factors(*(part.to(device, dtype) for part in _decomposed(taps, stride, length)))


def _decomposed(taps: Taps, stride: int, length: int) -> _Factors:
    """Return the factors of an axis of `length` pixels in float64; symmetric kernels need no decomposition."""
    if _symmetric(taps, stride) and length % stride == 0:
        return _of_cosines(taps, stride, length)
    U, s, Vh = torch.linalg.svd(axis_matrix(taps, stride, length), full_matrices=False)
    return _Factors(U, s, Vh.mT)


def _of_cosines(taps: Taps, stride: int, length: int) -> _Factors:
    """Return the factors for a kernel symmetric about the middle of its block.

    With mirrored borders it multiplies each cosine by a number. Every stride-th value of a cosine is, up to its sign,
    one of the `length` / `stride` cosines of the coarse axis, or 0. The right singular vector of a coarse cosine is the
    weighted sum of the fine cosines which become it; no two vectors share a fine cosine.
    """
    coarse, j = length // stride, torch.arange(length)
    offset = torch.arange(len(taps)) - (len(taps) - 1) / 2
    weighed = torch.cos(math.pi / length * offset.double() * j[:, None]) @ torch.tensor(taps, dtype=torch.float64)
    turns, rest = j // (2 * coarse), j % (2 * coarse)
    sign = torch.where((turns + (rest > coarse)) % 2 == 0, 1.0, -1.0).double()
    becomes = torch.where(rest > coarse, 2 * coarse - rest, rest) % coarse
    longer = 1 + ((becomes == 0) & (j > 0)).double()  # the constant is longer than a cosine, by sqrt(2)
    weight = torch.where(rest == coarse, 0.0, weighed * sign) * (longer / stride).sqrt()
    s = torch.zeros(coarse, dtype=torch.float64).index_add_(0, becomes, weight.square()).sqrt()
    share = weight / s.clamp(min=torch.finfo(s.dtype).tiny)[becomes]
    V = torch.zeros(length, coarse, dtype=torch.float64).index_add_(1, becomes, _cosines(length) * share)
    return _Factors(_cosines(coarse), s, V)


def _cosines(length: int) -> Float[Tensor, "length length"]:
    """Return the orthonormal cosines of an axis with mirrored borders as columns."""
    place = torch.arange(length)
    values = math.sqrt(2 / length) * torch.cos(math.pi / (2 * length) * torch.arange(4 * length).double())
    V = values[(2 * place[:, None] + 1) * place % (4 * length)]
    V[:, 0] = math.sqrt(1 / length)
    return V


def axis_matrix(taps: Taps, stride: int, length: int) -> Float[Tensor, "h H"]:
    """Return the float64 matrix of filtering an axis with mirrored ends and keeping each stride-th value.

    The kernel is the picture of a point, so its last tap weighs the first pixel of a window. A window is centred on
    its block of `stride` pixels; if the two lengths differ by an odd number, the window is half a pixel late.
    """
    first = torch.arange(0, length, stride) - (len(taps) - stride) // 2
    place = (first[:, None] + torch.arange(len(taps))) % (2 * length)
    place = torch.minimum(place, 2 * length - 1 - place)
    weights = torch.tensor(taps[::-1], dtype=torch.float64).expand(len(first), -1)
    return torch.zeros(len(first), length, dtype=torch.float64).scatter_add_(1, place, weights)
