"""Any linear operator, given by functions for A x and A^T y."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor

from deqir.linalg.krylov import LeastSquares, least_squares
from deqir.protocols import LinearOperator
from deqir.shapes import Float

COLOUR: Final = 0.2
"""Spread of the differences between channels in photographs, as a share of the spread of their mean."""
CORNER: Final = 0.09
"""Cycles per pixel above which amplitudes fall; a lower corner costs iterations, the most for wide gaps."""


class ConvergenceError(ArithmeticError):
    """A^+ y was not reached in `max_iterations`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatrixFree:
    """A linear operator given by two functions; A^+ is computed by conjugate gradients, for each image by itself.

    deqir.check_operator checks the two functions against each other. The singular values are not known, so there is
    no `filter` and y must be free of noise, or nearly so. Each step of a restoration costs an A^+, up to
    max_iterations times A and A^T.

    Attributes:
        forward: A, from images (B, C, H, W) to measurements (B, c, h, w), each image by itself;
            for measurements of other shapes, see `from_deepinv`.
        transpose: A^T, from measurements to images.
        shape: Shape of the image, (C, H, W).
        tolerance: Largest ||A^T (y - A x)|| / ||A^T y|| of x = A^+ y.
        max_iterations: Most iterations for an A^+ y.
        start_iterations: Iterations for the start; few iterations leave out the smallest singular values.

    Raises:
        ValueError: The shape, the tolerance or a number of iterations is out of range.
    """

    forward: Callable[[Tensor], Tensor]
    transpose: Callable[[Tensor], Tensor]
    shape: tuple[int, int, int]
    tolerance: float = 1e-5
    max_iterations: int = 200
    start_iterations: int = 20
    start_noise: float = 75 / 255

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"the shape of an image is (channels, height, width), got {self.shape}")
        if not 0 < self.tolerance < 1 or self.max_iterations < 1 or self.start_iterations < 1:
            raise ValueError(
                "conjugate gradients need a tolerance between 0 and 1 and at least 1 iteration, got "
                f"tolerance={self.tolerance}, max_iterations={self.max_iterations}, "
                f"start_iterations={self.start_iterations}"
            )

    @classmethod
    def of_parts(
        cls, parts: Sequence[LinearOperator], shape: tuple[int, int, int], *, tolerance: float = 1e-5
    ) -> MatrixFree:
        """Return the composition of operators, in the order of application, on images of this shape.

        Meant for compositions without a closed form of A^+; with a closed form, deqir.operators.Composition is faster.
        """
        forward, transpose = partial(applied, parts), partial(transposed, parts)
        return cls(forward=forward, transpose=transpose, shape=shape, tolerance=tolerance)

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        return self.shape

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B c h w"]:
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"this operator is for images of shape {self.shape}, got {tuple(x.shape[1:])}")
        y = self.forward(x)
        if y.ndim != 4 or len(y) != len(x):
            raise ValueError(
                f"`forward` made {tuple(y.shape)} of images of shape {tuple(x.shape)}; measurements need four "
                "dimensions, the first as long as the batch: reshape them, to (batch, 1, 1, numbers) if need be"
            )
        return y

    def adjoint(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]:
        x = self.transpose(y)
        if tuple(x.shape) != (len(y), *self.shape):
            raise ValueError(
                f"`transpose` made {tuple(x.shape)} of measurements of shape {tuple(y.shape)}, "
                f"not images of shape {(len(y), *self.shape)}"
            )
        return x

    def solve(self, y: Float[Tensor, "B c h w"], /) -> LeastSquares:
        """Return the approximation of A^+ y, with the residual and iterations of each image."""
        return least_squares(self, self.adjoint, y, tolerance=self.tolerance, max_iterations=self.max_iterations)

    def pinv(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]:
        """Return A^+ y; an image with a non-finite y becomes nan and does not stop the others.

        Raises:
            ConvergenceError: An image did not reach the tolerance; `solve` returns its last iterate.
        """
        solved = self.solve(y)
        short = (~solved.converged & solved.residual.isfinite()).tolist()
        missed = [image for image, is_short in enumerate(short) if is_short]
        if missed:
            worst = float(solved.residual[missed].max())
            raise ConvergenceError(
                f"A^+ y of images {missed} of the batch of {len(y)} has a residual of {worst:.2g} after "
                f"{self.max_iterations} iterations, above the tolerance of {self.tolerance:.2g}: allow more "
                "iterations or a larger tolerance; if neither helps, `transpose` may not be the transpose of "
                "`forward` (deqir.check_operator tests this)"
            )
        return solved.x

    def start(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]:
        """Return a smooth image x = S z in near agreement with y, with S z of a photograph's spectrum for white z.

        z is found by a few iterations. In the limit of many, x is the most probable solution of A x = y, given this
        spectrum and the likeness of channels.
        """
        z = least_squares(
            lambda z: self(natural(z)),
            lambda y: natural(self.adjoint(y)),
            y,
            tolerance=self.tolerance,
            max_iterations=self.start_iterations,
        ).x
        return natural(z)

    guess = start


def applied(parts: Sequence[LinearOperator], x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B c h w"]:
    """Return x after the parts, in this order."""
    for part in parts:
        x = part(x)
    return x


def transposed(parts: Sequence[LinearOperator], y: Float[Tensor, "B c h w"]) -> Float[Tensor, "B C H W"]:
    """Return y after the adjoints of the parts, the last part's first: the transpose of `applied`."""
    for part in reversed(parts):
        y = part.adjoint(y)
    return y


def natural(z: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Return white noise coloured like photographs: smooth, mirrored at the borders, its channels nearly alike.

    A symmetric map (diagonal in the cosine transform), so it is its own transpose.
    """
    height, width = z.shape[-2:]
    mean = z.mean(1, keepdim=True)
    mixed = mean + COLOUR * (z - mean)
    doubled = torch.cat([mixed, mixed.flip(-2)], -2)
    doubled = torch.cat([doubled, doubled.flip(-1)], -1)
    down = torch.fft.fftfreq(2 * height, dtype=z.dtype, device=z.device)[:, None]
    across = torch.fft.rfftfreq(2 * width, dtype=z.dtype, device=z.device)
    spectrum = torch.fft.rfft2(doubled) * (CORNER**2 / (CORNER**2 + down**2 + across**2))
    coloured: Tensor = torch.fft.irfft2(spectrum, s=(2 * height, 2 * width))
    return coloured[..., :height, :width]
