"""check_operator passes right operators and names the fault of wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deqir import OperatorError, check_operator
from deqir.linalg.krylov import least_squares
from deqir.operators import (
    Colorization,
    Composition,
    Deblurring,
    FramedDeblurring,
    Inpainting,
    KernelSuperResolution,
    MatrixFree,
    SeparableDeblurring,
    SuperResolution,
    kernels,
    masks,
)
from deqir.protocols import Gain, LinearOperator, SpectralOperator
from tests.conformance.dense import dense
from tests.deqir.problems import rand

Method = Callable[[Tensor], Tensor]
POOL = SuperResolution(scale=2)
SHAPE = (3, 8, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """A pooling as a user might write it; each method may be replaced by a wrong method."""

    forward: Method = POOL
    transpose: Method = POOL.adjoint
    inverse: Method = POOL.pinv
    begin: Method = POOL.start
    start_noise: float = 0.2
    shape: tuple[int, int, int] = SHAPE

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        return self.shape

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.forward(x)

    def adjoint(self, y: Tensor, /) -> Tensor:
        return self.transpose(y)

    def pinv(self, y: Tensor, /) -> Tensor:
        return self.inverse(y)

    def start(self, y: Tensor, /) -> Tensor:
        return self.begin(y)

    guess = start


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectral(Mine):
    """A user's operator with singular values."""

    gained: Callable[[Tensor, Gain], Tensor] = POOL.filter

    def filter(self, v: Tensor, gain: Gain, /) -> Tensor:
        return self.gained(v, gain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutting(Mine):
    """A user's operator which declares that small singular values are cut."""

    threshold: float = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Iterating(Mine):
    """A user's operator which declares that `pinv` iterates."""

    tolerance: float = 1e-5


BLUR = SeparableDeblurring(kernel=kernels.gaussian(1.5))
CUT_MORE = SeparableDeblurring(kernel=kernels.gaussian(1.5), threshold=0.1)
ON = {"forward": BLUR, "transpose": BLUR.adjoint, "inverse": BLUR.pinv, "begin": BLUR.start}


def wiener(y: Tensor) -> Tensor:
    """An inverse with damped instead of cut singular values."""
    return BLUR.filter(BLUR.adjoint(y), lambda s: 1 / (s.square() + 1e-3))


def three_iterations(y: Tensor) -> Tensor:
    return least_squares(BLUR, BLUR.adjoint, y, tolerance=1e-5, max_iterations=3).x


def filled_in(y: Tensor) -> Tensor:
    """An inverse with an addition unseen by A."""
    x = 0.1 * y.repeat_interleave(2, -2).repeat_interleave(2, -1)
    x[..., ::2] *= -1
    return POOL.pinv(y) + x


def in_place(x: Tensor) -> Tensor:
    return POOL(x.mul_(2)) / 2


def other_inverse(y: Tensor) -> Tensor:
    """A right inverse with each value in one corner of its block."""
    x = y.new_zeros(*y.shape[:2], 8, 12)
    x[..., ::2, ::2] = 4 * y
    return x


WRONG: dict[str, tuple[LinearOperator, str]] = {
    "offset": (Mine(forward=lambda x: POOL(x) + 0.1), r"A\(2x - 3u\).*offset"),
    "clamp": (Mine(forward=lambda x: POOL(x).clamp(-0.1, 0.1)), r"A\(2x - 3u\).*clamp"),
    "square": (Mine(forward=lambda x: POOL(x).square()), r"A\(2x - 3u\)"),
    "rounding": (Mine(forward=lambda x: (POOL(x) * 128).round() / 128), r"A\(2x - 3u\).*rounding"),
    "batch mean": (Mine(forward=lambda x: POOL(x - x.mean(0))), "A of a batch.*over the batch"),
    "scaled adjoint": (Mine(transpose=POOL.pinv), r"<A x, v> = <x, A\^T v> fails by .*factor left out"),
    "flipped adjoint": (Mine(transpose=lambda y: POOL.adjoint(y.flip(-1))), r"<A x, v>"),
    "scaled pinv": (Mine(inverse=POOL.adjoint), r"A A\^\+ A = A fails by 0\.75 .*Moore-Penrose"),
    "other inverse": (Mine(inverse=other_inverse), r"A\^\+ A = \(A\^\+ A\)\^T fails"),
    "noisy pinv": (Mine(inverse=lambda y: POOL.pinv(y) + 1e-4), r"\^\+"),
    "nan": (Mine(inverse=lambda y: POOL.pinv(y) / 0), "pinv.* nan or inf"),
    "in place": (Mine(forward=in_place), "changes its input"),
    "image shape": (Mine(shape=(3, 8, 8)), "image_shape"),
    "adjoint's shape": (Mine(transpose=lambda y: y), r"adjoint\(y\) must be of shape"),
    "start's shape": (Mine(begin=lambda y: y), r"start\(y\) must be of shape"),
    "flat": (Mine(forward=lambda x: POOL(x).flatten(1)), r"\(B, c, h, w\)"),
    "precision": (Mine(transpose=lambda y: POOL.adjoint(y).float()), r"adjoint makes torch\.float32"),
    "cut, unsaid": (Mine(**ON), r"A A\^\+ A = A fails by 0\.0.*attribute `threshold`"),
    "cut more than is said": (
        Cutting(**ON | {"inverse": CUT_MORE.pinv}),
        r"\|\|A - A A\^\+ A\|\| <= threshold \|\|A\|\| fails by 0\.0[789].*`pinv` leaves out larger",
    ),
    "cut of all": (Cutting(**ON | {"inverse": lambda y: 0 * y}), r"<= threshold \|\|A\|\| fails by 1 "),
    "cut with a factor": (Cutting(**ON | {"inverse": lambda y: 1.001 * BLUR.pinv(y)}), r"A\^\+ A A\^\+ = A\^\+ fails"),
    "cut by damping": (Cutting(**ON | {"inverse": wiener}), r"A\^\+ A A\^\+ = A\^\+ fails"),
    "cut and its adjoint": (Cutting(**ON | {"transpose": lambda y: BLUR.adjoint(y.roll(1, -1))}), r"<A x, v>"),
    "iteration cut short": (
        Iterating(**ON | {"inverse": three_iterations}),
        r"A\^T A A\^\+ A = A\^T A fails .*limit 1e-05.*ends before",
    ),
    "iteration with a factor": (Iterating(inverse=lambda y: 1.01 * POOL.pinv(y)), r"A\^T A A\^\+ A = A\^T A fails"),
    "iteration that fills in": (Iterating(inverse=filled_in), r">= 0 fails by 0\.0.*unseen by A"),
    "iteration's adjoint": (
        MatrixFree(forward=BLUR, transpose=lambda y: BLUR.adjoint(y).roll(1, -1), shape=SHAPE),
        r"<A x, v>",
    ),
    "filter's factor": (
        Spectral(gained=lambda v, gain: POOL.filter(v, lambda s: gain(2 * s))),
        r"s\^2.*singular values",
    ),
    "filter without gain(0)": (
        Spectral(gained=lambda v, gain: gain(v.new_full((1, 1, 1, 1), 0.5)) * POOL.pinv(POOL(v))),
        r"filter\(v, 1\) = v fails",
    ),
    "filter of one gain": (
        Spectral(gained=lambda v, gain: POOL.filter(v, lambda s: gain(s)[:1])),
        "a gain for each image",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_usual_cause(name) -> None:
    A, says = WRONG[name]
    with pytest.raises(OperatorError, match=says):
        check_operator(A, SHAPE)


def test_what_is_right_passes_with_a_report_of_errors_at_rounding() -> None:
    report = check_operator(Spectral(), SHAPE)
    assert report.filter is not None
    assert report.penrose is not None
    assert report.cut is report.solved is None
    assert max(report.linearity, report.separateness, report.adjoint, *report.penrose, *report.filter) < 1e-13
    assert report.start_misfit < 1e-13
    assert check_operator(Mine(), SHAPE).filter is None
    assert isinstance(Spectral(), SpectralOperator)
    assert not isinstance(Mine(), SpectralOperator)


def test_the_product_of_the_parts_inverses_is_found_out() -> None:
    mask = Inpainting(keep=masks.random(8, 12, lost=0.5))
    naive = Mine(
        forward=lambda x: POOL(mask(x)),
        transpose=lambda y: mask.adjoint(POOL.adjoint(y)),
        inverse=lambda y: mask.pinv(POOL.pinv(y)),
        begin=POOL.start,
    )
    with pytest.raises(OperatorError, match=r"Composition has the right one"):
        check_operator(naive, SHAPE)


NARROW = SeparableDeblurring(kernel=kernels.gaussian(0.8))
SMALL_VALUES: dict[str, LinearOperator] = {
    "bicubic": KernelSuperResolution(scale=4),
    "downsampling": KernelSuperResolution(scale=2, kernel=kernels.gaussian(3.0)),
    "blur": SeparableDeblurring(kernel=kernels.gaussian(2.0)),
    "mean": SeparableDeblurring(kernel=kernels.uniform(9)),
    "motion": Deblurring(kernel=kernels.motion(9, 30.0)),
    "defocus": Deblurring(kernel=kernels.disk(3.0), boundary="reflect"),
    "grey and blur": Composition(parts=(Colorization(), BLUR)),
    "framed motion": FramedDeblurring(kernel=kernels.motion(9, 30.0)),
    "framed defocus": FramedDeblurring(kernel=kernels.disk(4.0)),
    "parts": MatrixFree.of_parts((NARROW, SuperResolution(scale=2)), (3, 48, 64)),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", SMALL_VALUES)
def test_operators_that_leave_out_small_singular_values_pass_as_they_are(name, dtype) -> None:
    A, limit = SMALL_VALUES[name], 1e-8 if dtype == torch.float64 else 1e-5
    report = check_operator(A, (3, 48, 64), dtype=dtype)
    if isinstance(A, FramedDeblurring | MatrixFree):
        assert report.penrose is report.cut is None
        assert report.solved is not None
        assert 0 < report.solved[0] <= A.tolerance
    else:
        assert report.solved is None
        assert report.penrose is not None
        assert max(report.penrose[1:]) < limit


@settings(deadline=None, max_examples=25)
@given(
    width=st.floats(0.3, 3),
    height=st.integers(4, 9),
    threshold=st.floats(0.005, 0.3),
    kind=st.sampled_from(["axes", "circular", "reflect", "every second"]),
)
def test_the_cut_that_is_told_is_the_largest_singular_value_below_the_threshold(width, height, threshold, kind) -> None:
    kernel = kernels.gaussian(width)
    plane, shape = torch.outer(kernel, kernel), (1, 2 * height, 12)
    A: LinearOperator = {
        "axes": SeparableDeblurring(kernel=kernel, threshold=threshold),
        "circular": Deblurring(kernel=plane, threshold=threshold),
        "reflect": Deblurring(kernel=plane, threshold=threshold, boundary="reflect"),
        "every second": KernelSuperResolution(scale=2, kernel=kernel, threshold=threshold),
    }[kind]
    values = torch.linalg.svdvals(dense(A, shape))
    cut = values[values <= threshold * values[0]]
    told = check_operator(A, shape).cut
    assert told is not None
    if len(cut) and abs(float(cut[0] / values[0]) / threshold - 1) > 1e-6:
        assert told == pytest.approx(float(cut[0] / values[0]), rel=0.1, abs=1e-9)


def test_single_precision_and_a_loose_solve_have_limits_of_their_own() -> None:
    A = MatrixFree(forward=lambda x: x * weights.to(x), transpose=lambda y: y * weights.to(y), shape=(1, 4, 4))
    loose = Mine(forward=A, transpose=A.adjoint, inverse=A.pinv, begin=A.start, shape=(1, 4, 4))
    with pytest.raises(OperatorError, match=r"A A\^\+ A = A fails by .* \(limit 1e-08\).*attribute `tolerance`"):
        check_operator(loose, (1, 4, 4))
    check_operator(loose, (1, 4, 4), tolerance=1e-4)
    check_operator(A, (1, 4, 4))
    check_operator(A, (1, 4, 4), dtype=torch.float32)


weights = 1 + rand(4, 4).abs()
