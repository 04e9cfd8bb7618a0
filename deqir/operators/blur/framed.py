"""Blur of a scene larger than its photograph: nothing is assumed about the scene beyond the photograph's frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from deqir.hardware.devices import sent
from deqir.linalg.krylov import LeastSquares, least_squares
from deqir.shapes import Float

from .convolution import Deblurring

START_TOLERANCE: Final = 0.01
"""Tolerance of the correction of a start towards y; a finer tolerance sharpens the rounding errors of small details."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FramedDeblurring:
    """y is the part of a blurred scene untouched by any boundary; x is the whole part of the scene visible in y.

    A kernel reaching r pixels up and down and c to either side makes y (H, W) of x (H + 2 r, W + 2 c). This is how a
    camera blurs, and it holds for any kernel. `Deblurring` is faster and knows its singular values, but assumes
    something about the scene beyond the frame. A restored image is as large as x and unsure in its outer part, which
    `framed` cuts off.

    A^+ is computed by conjugate gradients. An early stop leaves out the smallest singular values, so the tolerance
    limits how far noise in y is amplified. For photographs with noise up to about 0.01 (standard deviation, images in
    [0, 1]) twice the noise is best; the default is for y rounded to 8 bits. If an image does not reach the tolerance
    in `max_iterations`, its last iterate is used, which is the closest; `solve` reports this. The singular values are
    not known, so there is no `filter` and sigma_y must be 0. For more noise use `Deblurring` on `tapered(y)`.

    Attributes:
        kernel: 2-D, the picture of a point, its middle at n // 2; divided by its sum. See `deqir.operators.kernels`.
        tolerance: Largest ||A^T (y - A x)|| / ||A^T y|| of x = A^+ y.
        max_iterations: Most iterations for an A^+ y.

    Raises:
        ValueError: The kernel is not 2-D or sums to 0, the tolerance is outside of 0..1, or max_iterations is below 1.
    """

    kernel: Tensor
    tolerance: float = 2e-3
    max_iterations: int = 100
    start_noise: float = 49 / 255
    _circular: Deblurring = field(init=False, repr=False)
    _reach: tuple[int, int, int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1 or self.max_iterations < 1:
            raise ValueError(
                "conjugate gradients need a tolerance between 0 and 1 and at least 1 iteration, got "
                f"tolerance={self.tolerance}, max_iterations={self.max_iterations}"
            )
        object.__setattr__(self, "_circular", Deblurring(kernel=self.kernel))
        object.__setattr__(self, "_reach", _reach(self.kernel))

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        channels, height, width = y_shape[-3:]
        top, bottom, left, right = self._reach
        return channels, top + height + bottom, left + width + right

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C h w"]:
        height, width = self._sides(x)
        return self._seen(self._circular(_enlarged(x)), height, width)

    def adjoint(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        _, height, width = self.image_shape(tuple(y.shape))
        top, bottom, left, right = self._reach
        wide = functional.pad(y, (left, right, top, bottom))
        return self._circular.adjoint(_enlarged(wide))[..., :height, :width]

    def solve(self, y: Float[Tensor, "B C h w"], /, *, tolerance: float | None = None) -> LeastSquares:
        """Return the approximation of A^+ y, with the residual and iterations of each image."""
        tolerance = self.tolerance if tolerance is None else tolerance
        return least_squares(self, self.adjoint, y, tolerance=tolerance, max_iterations=self.max_iterations)

    def pinv(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        return self.solve(y).x

    def start(self, y: Float[Tensor, "B C h w"], /) -> Float[Tensor, "B C H W"]:
        """Return y surrounded by its mirror images, corrected until A of it is nearly y."""
        wide = self.widened(y)
        return wide + self.solve(y - self(wide), tolerance=max(self.tolerance, START_TOLERANCE)).x

    guess = start

    def framed(self, x: Float[Tensor, "*batch H W"], /) -> Float[Tensor, "*batch h w"]:
        """Return the part of a scene inside y's frame."""
        return self._seen(x, *self._sides(x))

    def widened(self, image: Float[Tensor, "*batch h w"], /) -> Float[Tensor, "*batch H W"]:
        """Return a scene with this image in its frame and the image's mirror images around it."""
        top, bottom, left, right = self._reach
        rows = sent(_mirrored(image.shape[-2], top, bottom), image.device)
        columns = sent(_mirrored(image.shape[-1], left, right), image.device)
        return image[..., rows, :][..., columns]

    def _sides(self, x: Tensor) -> tuple[int, int]:
        top, bottom, left, right = self._reach
        height, width = x.shape[-2] - top - bottom, x.shape[-1] - left - right
        if min(height, width) < 1:
            raise ValueError(
                f"a blur over {top + bottom + 1} x {left + right + 1} pixels (height, width) leaves nothing of a scene "
                f"of {x.shape[-2]} x {x.shape[-1]}; give the whole scene, which is larger than its photograph"
            )
        return height, width

    def _seen(self, x: Tensor, height: int, width: int) -> Tensor:
        top, _, left, _ = self._reach
        return x[..., top : top + height, left : left + width]


def _reach(kernel: Tensor) -> tuple[int, int, int, int]:
    """Return the pixels beyond y's top, bottom, left and right which show in y; black kernel borders do not count.

    A weight d pixels below the kernel's middle brings in the pixel d rows further up.
    """
    sides: list[int] = []
    for places, length in zip(kernel.nonzero().mT, kernel.shape, strict=True):
        offsets = places - length // 2
        sides += [max(0, int(offsets.max())), max(0, -int(offsets.min()))]
    top, bottom, left, right = sides
    return top, bottom, left, right


def _mirrored(length: int, before: int, after: int) -> Tensor:
    """Return the indices of an axis, continued before and after it as in mirrors at its ends."""
    place = torch.arange(-before, length + after) % (2 * length)
    return torch.minimum(place, 2 * length - 1 - place)


def _enlarged(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H2 W2"]:
    """Return x with zeros below and to the right: the Fourier transform of its own size may take ten times as long."""
    height, width = x.shape[-2:]
    return functional.pad(x, (0, _fast(width) - width, 0, _fast(height) - height))


def _fast(length: int) -> int:
    """Return the smallest number from `length` on without prime factors above 5."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
