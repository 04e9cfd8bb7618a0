"""Protocols of the parts supplied by a caller (denoiser, operator, solver, surrogate), and the result of a solve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from torch import Tensor

from .shapes import Float, Int


@runtime_checkable
class Denoiser(Protocol):
    """eps_theta(x_t, alpha_bar): the noise in x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps.

    Any `nn.Module` or function with this signature fits. Row n of the batch has its own level alpha_bar[n].
    """

    def __call__(
        self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /
    ) -> Float[Tensor, "N C H W"]: ...


@runtime_checkable
class LinearOperator(Protocol):
    """A degradation A on images in [-1, 1], its transpose, its Moore-Penrose inverse, and its start.

    Every method raises ValueError if a shape does not fit. `pinv` may raise `ConvergenceError` for a batch with an
    unsolvable image; the engine then gives up this image alone.

    Attributes:
        start_noise: Default noise of the chain's start, as a standard deviation of images in [0, 1]; at least as
            large as the error of `start`.
    """

    @property
    def start_noise(self) -> float: ...
    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        """Return the shape (C, H, W) of the image for a y of shape (c, h, w) or (B, c, h, w)."""
        ...

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B c h w"]: ...
    def adjoint(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]: ...
    def pinv(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]: ...
    def start(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]:
        """Return a plausible image with A(start(y)) = y, but for the blur left over by a damped inverse."""
        ...

    def guess(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]:
        """Return the first guess of a parallel solve for every data prediction; usually `start`."""
        ...


Gain = Callable[[Tensor], Tensor]
"""An elementwise function of singular values; it may add a batch dimension in front."""


@runtime_checkable
class SpectralOperator(LinearOperator, Protocol):
    """An operator with a known singular value decomposition A = U diag(s) V^T."""

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        """Return V gain(s) V^T v.

        `gain` gets the singular values, 0 where A sees nothing (and for cut singular values), in a shape to
        broadcast against coefficients of shape (B, ?, ?, ?). Its result may have the batch dimension: images of a
        batch may be at different steps.
        """
        ...


@runtime_checkable
class Truncated(Protocol):
    """An operator whose A^+ leaves out small singular values; A and its adjoint have all of them.

    Attributes:
        threshold: Singular values up to this share of the largest are cut.
    """

    @property
    def threshold(self) -> float: ...


@runtime_checkable
class Iterative(Protocol):
    """An operator whose A^+ y is the result of an iteration inside the range of A^T.

    Attributes:
        tolerance: Value of ||A^T (y - A x)|| / ||A^T y|| at which the iteration ends.
    """

    @property
    def tolerance(self) -> float: ...


@runtime_checkable
class NoisyStart(Protocol):
    """An operator whose start depends on the noise in y, as it would amplify the noise."""

    def start_of_noisy(self, y: Float[Tensor, "B c h w"], sigma_y: float, /) -> Float[Tensor, "B C H W"]:
        """Return `start` and `guess` for a y with noise of standard deviation sigma_y, images in [-1, 1]."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """An operator whose y bounds each measurement of x, as rounding does; the result of a restoration keeps to it."""

    def nearest(self, x: Float[Tensor, "B C H W"], y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]:
        """Return an image in [-1, 1] near x whose measurements lie within the bounds that y gives."""
        ...


class Outcome(StrEnum):
    """The reason for the end of a solve. Never an exception: a batch of images must not share one fate."""

    CONVERGED = "converged"
    MAX_ROUNDS = "max_rounds"
    NONFINITE = "nonfinite"


@runtime_checkable
class FixedPointMap(Protocol):
    """The map F: the next values of the elements `rows` of a batch."""

    def __call__(self, x: Float[Tensor, "b K ..."], rows: Int[Tensor, " b"], /) -> Float[Tensor, "b K ..."]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPoint:
    """The result of a solve of x = F(x), with one entry per batch element.

    Attributes:
        value: The last F(x) of each element, shape (B, K, ...).
        residual: ||F(x)_k - x_k|| / ||F(x)_k|| of each of the K blocks after each round, in the Euclidean
            norm, shape (rounds, B, K); nan once an element has stopped.
        rounds: Number of calls of F for each element, shape (B,).
        outcome: Reason for each element's end, length B.
    """

    value: Float[Tensor, "B K ..."]
    residual: Float[Tensor, "rounds B K"]
    rounds: Int[Tensor, " B"]
    outcome: tuple[Outcome, ...]


@runtime_checkable
class FixedPointSolver(Protocol):
    """A solver of F(x) = x from `init`; it calls F once per round and knows nothing of images."""

    def __call__(self, F: FixedPointMap, init: Float[Tensor, "B K ..."], /) -> FixedPoint: ...


@runtime_checkable
class Linearization(Protocol):
    """A stand-in for the Jacobian of the data prediction during one solve; it may learn from round to round."""

    def __call__(
        self,
        i: int,
        rows: Int[Tensor, " b"],
        u: Float[Tensor, "b C H W"],
        x0_hat: Float[Tensor, "b C H W"],
        du: Float[Tensor, "b C H W"],
        /,
    ) -> Float[Tensor, "b C H W"]:
        """Return the change of x0_hat for a change du of u = x_i / sqrt(alpha_bar_i).

        Called once a round for each position i along the chain, in rising order, with the u and x0_hat of this
        round. A round begins at the first position of the round before, or at a later position.
        """
        ...


@runtime_checkable
class Surrogate(Protocol):
    """A factory of a fresh `Linearization` for a solve of `batch` images over noise levels `sigma`."""

    def linearize(self, sigma: Sequence[float], batch: int, /) -> Linearization: ...
