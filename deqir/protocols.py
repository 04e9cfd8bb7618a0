"""What a caller may bring (a denoiser, an operator, a solver, a surrogate) and what a solve returns."""

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

    Any `nn.Module` or function with this call fits. Row n of the batch has its own level alpha_bar[n].
    """

    def __call__(
        self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /
    ) -> Float[Tensor, "N C H W"]: ...


@runtime_checkable
class LinearOperator(Protocol):
    """A degradation A on images in [-1, 1], its transpose, its Moore-Penrose inverse, and where to start.

    Every method raises ValueError where a shape does not fit. `pinv` may raise `ConvergenceError` for a batch with an
    image that it cannot solve; the engine then gives up that image alone.

    Attributes:
        start_noise: Default noise of the chain's start, as a standard deviation of images in [0, 1]; it has
            to cover the error of `start`.
    """

    @property
    def start_noise(self) -> float: ...
    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        """Shape (C, H, W) of the image behind a y of this shape, (c, h, w) or with a batch before it."""
        ...

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B c h w"]: ...
    def adjoint(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]: ...
    def pinv(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]: ...
    def start(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]:
        """A plausible image that agrees with y: A(start(y)) = y, up to what a damped inverse leaves of a blur."""
        ...

    def guess(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]:
        """The image that a parallel solve first takes every data prediction for; `start` where none is better."""
        ...


Gain = Callable[[Tensor], Tensor]
"""A function of singular values, elementwise; may add a batch dimension in front."""


@runtime_checkable
class SpectralOperator(LinearOperator, Protocol):
    """An operator that knows its singular value decomposition A = U diag(s) V^T."""

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        """Return V gain(s) V^T v.

        `gain` gets the singular values, 0 where A sees nothing (and where small ones are cut), in a shape that
        broadcasts against coefficients of shape (B, ?, ?, ?). What it returns may have that batch dimension:
        images of a batch may be at different steps.
        """
        ...


@runtime_checkable
class Truncated(Protocol):
    """An operator whose A^+ is that of A without its small singular values; A and its adjoint have them all.

    Attributes:
        threshold: The share of the largest singular value up to which they are cut.
    """

    @property
    def threshold(self) -> float: ...


@runtime_checkable
class Iterative(Protocol):
    """An operator whose A^+ y is the end of an iteration that stays among what A sees.

    Attributes:
        tolerance: Where it ends: ||A^T (y - A x)|| / ||A^T y||.
    """

    @property
    def tolerance(self) -> float: ...


@runtime_checkable
class NoisyStart(Protocol):
    """An operator whose start has to know of noise in y, as it would amplify it."""

    def start_of_noisy(self, y: Float[Tensor, "B c h w"], sigma_y: float, /) -> Float[Tensor, "B C H W"]:
        """`start` and `guess` of a y with noise of this standard deviation, images in [-1, 1]."""
        ...


class Outcome(StrEnum):
    """Why a solve stopped. Never an exception: a batch of images must not share one fate."""

    CONVERGED = "converged"
    MAX_ROUNDS = "max_rounds"
    NONFINITE = "nonfinite"


@runtime_checkable
class FixedPointMap(Protocol):
    """F: the next value of some elements of a batch, told which ones they are."""

    def __call__(self, x: Float[Tensor, "b K ..."], rows: Int[Tensor, " b"], /) -> Float[Tensor, "b K ..."]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPoint:
    """The end of a solve of x = F(x), one entry per batch element.

    Attributes:
        value: The last F(x) of each element, shape (B, K, ...).
        residual: ||F(x)_k - x_k|| / ||F(x)_k|| of each of the K blocks after each round, in the Euclidean
            norm, shape (rounds, B, K); nan once an element has stopped.
        rounds: Calls of F each element took part in, shape (B,).
        outcome: Why each element stopped, length B.
    """

    value: Float[Tensor, "B K ..."]
    residual: Float[Tensor, "rounds B K"]
    rounds: Int[Tensor, " B"]
    outcome: tuple[Outcome, ...]


@runtime_checkable
class FixedPointSolver(Protocol):
    """Finds x with F(x) = x from `init`; calls F once per round and knows nothing of images."""

    def __call__(self, F: FixedPointMap, init: Float[Tensor, "B K ..."], /) -> FixedPoint: ...


@runtime_checkable
class Linearization(Protocol):
    """Stands in for the Jacobian of the data prediction during one solve; may learn from round to round."""

    def __call__(
        self,
        i: int,
        rows: Int[Tensor, " b"],
        u: Float[Tensor, "b C H W"],
        x0_hat: Float[Tensor, "b C H W"],
        du: Float[Tensor, "b C H W"],
        /,
    ) -> Float[Tensor, "b C H W"]:
        """Change of x0_hat that a change du of u = x_i / sqrt(alpha_bar_i) would bring.

        Called once a round for each position i along the chain, in rising order, with the u and x0_hat of this
        round; a round begins where the one before did or behind it.
        """
        ...


@runtime_checkable
class Surrogate(Protocol):
    """Makes a fresh `Linearization` for a solve of `batch` images over noise levels `sigma`."""

    def linearize(self, sigma: Sequence[float], batch: int, /) -> Linearization: ...
