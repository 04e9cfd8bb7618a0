"""A test of the identities of an operator, for operators written by users."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from deqir.protocols import Iterative, LinearOperator, SpectralOperator, Truncated

from .matrix_free import natural

POWER_ROUNDS: Final = 40
CUT_ALLOWED: Final = 1.1
"""Largest cut, in units of the threshold: above 1, as power iteration underestimates the norm of A."""


class OperatorError(ValueError):
    """An operator breaks one of its identities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorReport:
    """Errors of an operator in its identities, relative to the norms of the two sides.

    Attributes:
        linearity: A(2x - 3u) = 2 A(x) - 3 A(u).
        separateness: A of a batch is A of each of its images.
        adjoint: <A x, v> = <x, A^T v>.
        penrose: A A^+ A = A, A^+ A A^+ = A^+, A A^+ = (A A^+)^T, A^+ A = (A^+ A)^T. If A is `Truncated`, the first is
            reported but not required. None if A is `Iterative`, as A^+ is then no linear map.
        cut: ||A - A A^+ A|| / ||A||, the largest singular value left out of A^+, required to be below the threshold
            of a `Truncated` A; else None.
        solved: For an `Iterative` A, on images with the spectrum of photographs: A^T A A^+ A = A^T A, to its tolerance,
            and <A^+ A x, x - A^+ A x> >= 0, which holds for iterates of conjugate gradients and fails if A^+ fills in
            a part unseen by A; else None.
        filter: V V^T = A^+ A, V s^2 V^T = A^T A V V^T, V I V^T = I and a gain of its own for each image;
            None without `filter`.
        start_misfit: ||A start(y) - y|| / ||y||; no identity: a start may be smoother than the data.
    """

    linearity: float
    separateness: float
    adjoint: float
    penrose: tuple[float, float, float, float] | None
    cut: float | None
    solved: tuple[float, float] | None
    filter: tuple[float, float, float, float] | None
    start_misfit: float


def check_operator(
    A: LinearOperator,
    shape: tuple[int, int, int],
    *,
    tolerance: float | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> OperatorReport:
    """Check on random images the identities of A needed for restoration, and return their errors.

    Args:
        A: The operator.
        shape: Shape of an image for A, (C, H, W); a small image is enough.
        tolerance: Largest relative error of any identity; None: 1e-8 in float64, 1e-3 in coarser types. An A^+ without
            small singular values declares a `threshold` or a `tolerance` (deqir.protocols.Truncated, Iterative) and
            is held to it.

    Raises:
        OperatorError: An identity fails; the text names it, its error and the usual cause.
        ConvergenceError: All identities of A and its adjoint hold, but the iteration of `pinv` does not end.
    """
    limit = (1e-8 if dtype == torch.float64 else 1e-3) if tolerance is None else tolerance
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64).to(dtype=dtype, device=device)

    x, u = draw(2, *shape), draw(2, *shape)
    y = _measured(A, x, shape)
    v = draw(*y.shape)
    _check_image("adjoint", A.adjoint(y), x)
    linearity = _require("A(2x - 3u) = 2 A(x) - 3 A(u)", A(2 * x - 3 * u), 2 * y - 3 * A(u), limit, _LINEARITY)
    separateness = _require("A of a batch = A of its images", y, torch.cat([A(x[:1]), A(x[1:])]), limit, _BATCH)
    adjoint = _inner("<A x, v> = <x, A^T v>", (y, v), (x, A.adjoint(v)), limit, _ADJOINT)
    photo = natural(x)  # an iteration need only solve images like photographs
    seen = A(photo)
    for name, method in (("pinv", A.pinv), ("start", A.start), ("guess", A.guess)):
        _check_image(name, method(seen), x)
    return OperatorReport(
        linearity=linearity,
        separateness=separateness,
        adjoint=adjoint,
        penrose=None if isinstance(A, Iterative) else _penrose(A, x, u, v, limit),
        cut=_cut(A, x, A.threshold, limit) if isinstance(A, Truncated) else None,
        solved=_solved(A, photo, A.tolerance, limit) if isinstance(A, Iterative) else None,
        filter=_filter(A, x, limit) if isinstance(A, SpectralOperator) else None,
        start_misfit=_error(A(A.start(y)), y),
    )


_LINEARITY = "an offset, a clamp, a rounding, noise or another random choice inside A"
_BATCH = "a mean or a norm over the batch inside A"
_ADJOINT = "a kernel not flipped, padding not folded back, or a factor left out in `adjoint`"
_PINV = (
    "`pinv` is an inverse of A, but not the Moore-Penrose inverse: a wrong factor, a part unseen by A and filled in by "
    "`pinv`, or, for a product, the product of the parts' inverses (deqir.operators.Composition has the right one); if "
    "`pinv` leaves out small singular values on purpose, declare it: by an attribute `threshold`, the share of the "
    "largest singular value up to which they are cut, or by an attribute `tolerance`, the tolerance of an iteration"
)
_CUT = "`pinv` leaves out larger singular values than `threshold` says"
_SOLVED = "an iteration which ends before the operator's own `tolerance`, or a wrong factor in `pinv`"
_FILLED = "`pinv` fills in a part unseen by A"
_FILTER = (
    "`filter` and the other methods differ in the singular values: a factor, or no gain(0) on the part unseen by A"
)


def _measured(A: LinearOperator, x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return A x after checking its form."""
    before = x.clone()
    y = A(x)
    if not torch.equal(x, before):
        raise OperatorError("A changes its input: work on a copy, x.clone()")
    if y.ndim != 4 or len(y) != len(x):
        raise OperatorError(f"A must return (B, c, h, w), got {tuple(y.shape)} for images of shape {tuple(x.shape)}")
    for y_shape in (tuple(y.shape), tuple(y.shape[1:])):  # of a batch and of one image
        found = tuple(A.image_shape(y_shape))
        if found != shape:
            raise OperatorError(f"image_shape({y_shape}) must be the shape of the image, {shape}, got {found}")
    _check_kind("A", y, x)
    return y


def _check_image(name: str, image: Tensor, x: Tensor) -> None:
    """Raise OperatorError if the result of a method is not a finite image like x."""
    if image.shape != x.shape:
        raise OperatorError(f"{name}(y) must be of shape {tuple(x.shape)}, got {tuple(image.shape)}")
    if not bool(torch.isfinite(image).all()):
        raise OperatorError(f"{name}(y) holds nan or inf; usually a division by a singular value of 0")
    _check_kind(name, image, x)


def _check_kind(name: str, result: Tensor, given: Tensor) -> None:
    if (result.dtype, result.device) != (given.dtype, given.device):
        raise OperatorError(
            f"{name} makes {result.dtype} on {result.device} of {given.dtype} on {given.device}; "
            "move the operator's tensors with .to(x) where they are used"
        )


def _penrose(A: LinearOperator, x: Tensor, u: Tensor, v: Tensor, limit: float) -> tuple[float, float, float, float]:
    y, w, inverse = A(x), A(u), A.pinv(v)
    seen, also_seen = A.pinv(y), A.pinv(w)
    uncut = math.inf if isinstance(A, Truncated) else limit
    return (
        _require("A A^+ A = A", A(seen), y, uncut, _PINV),
        _require("A^+ A A^+ = A^+", A.pinv(A(inverse)), inverse, limit, _PINV),
        _inner("A A^+ = (A A^+)^T", (A(inverse), w), (v, A(A.pinv(w))), limit, _PINV),
        _inner("A^+ A = (A^+ A)^T", (seen, u), (x, also_seen), limit, _PINV),
    )


def _cut(A: LinearOperator, x: Tensor, threshold: float, limit: float) -> float:
    largest = _norm(A, A.adjoint, x)
    left_out = _norm(lambda x: A(x - A.pinv(A(x))), lambda y: A.adjoint(y - A(A.pinv(y))), x)
    cut = left_out / largest if largest > 0 else 0.0
    return _within("||A - A A^+ A|| <= threshold ||A||", cut, CUT_ALLOWED * threshold + limit, _CUT)


def _norm(A: Callable[[Tensor], Tensor], transpose: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Return the largest singular value, by power iteration from two images; it is some percent too low at most."""
    norms = x.new_zeros(len(x))
    for _ in range(POWER_ROUNDS):
        lengths = x.flatten(1).norm(dim=1)
        x = x / lengths.clamp(min=torch.finfo(x.dtype).tiny)[:, None, None, None]
        y = A(x)
        norms, x = y.flatten(1).norm(dim=1), transpose(y)
    return float(norms.max())


def _solved(A: LinearOperator, x: Tensor, tolerance: float, limit: float) -> tuple[float, float]:
    y = A(x)
    seen = A.pinv(y)
    excess = float((seen * (seen - x)).sum() / (seen.norm() * x.norm()).clamp(min=torch.finfo(x.dtype).tiny))
    return (
        _require("A^T A A^+ A = A^T A", A.adjoint(A(seen)), A.adjoint(y), max(tolerance, limit), _SOLVED),
        _within("<A^+ A x, x - A^+ A x> >= 0", max(0.0, excess), limit, _FILLED),
    )


def _filter(A: SpectralOperator, x: Tensor, limit: float) -> tuple[float, float, float, float]:
    projection = A.pinv(A(x))
    factors = x.new_tensor([1.0, 2.0])[:, None, None, None]
    kept = A.filter(x, lambda s: (s > 0).to(s))
    normal = A.filter(A.adjoint(A(x)), lambda s: (s > 0).to(s))
    return (
        _require("filter(v, s > 0) = A^+ A v", kept, projection, limit, _FILTER),
        _require("filter(v, s^2) = A^T A v", A.filter(x, torch.square), normal, limit, _FILTER),
        _require("filter(v, 1) = v", A.filter(x, torch.ones_like), x, limit, _FILTER),
        _require(
            "filter(v, gain) with a gain for each image",
            A.filter(x, lambda s: factors * (1 + s)),
            factors * A.filter(x, lambda s: 1 + s),
            limit,
            _FILTER,
        ),
    )


def _require(identity: str, left: Tensor, right: Tensor, limit: float, cause: str) -> float:
    """Return the relative distance of two sides; raise OperatorError if it exceeds the limit."""
    if left.shape != right.shape:
        raise OperatorError(f"{identity} does not hold: {tuple(left.shape)} on the left, {tuple(right.shape)} right")
    return _within(identity, _error(left, right), limit, cause)


def _inner(identity: str, left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor], limit: float, cause: str) -> float:
    """Return the difference of two inner products relative to their norms; raise OperatorError beyond the limit."""
    (a, b), (c, d) = left, right
    scale = max(float(a.norm() * b.norm()), float(c.norm() * d.norm()), torch.finfo(a.dtype).tiny)
    return _within(identity, abs(float((a * b).sum() - (c * d).sum())) / scale, limit, cause)


def _within(identity: str, error: float, limit: float, cause: str) -> float:
    if not error <= limit:  # nan fails, too
        raise OperatorError(f"{identity} fails by {error:.2g} (limit {limit:.2g}); usually: {cause}")
    return error


def _error(left: Tensor, right: Tensor) -> float:
    scale = max(float(left.norm()), float(right.norm()))
    return float((left - right).norm()) / scale if scale > 0 else 0.0
