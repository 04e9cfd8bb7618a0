"""check_operator passes what is right and says what is wrong with what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from deqir import OperatorError, check_operator
from deqir.operators import Inpainting, MatrixFree, SuperResolution, masks
from deqir.protocols import Gain, LinearOperator, SpectralOperator
from tests.deqir.problems import rand

Method = Callable[[Tensor], Tensor]
POOL = SuperResolution(scale=2)
SHAPE = (3, 8, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """A pooling as a user might write it; each method may be replaced by a wrong one."""

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
    """The same with singular values."""

    gained: Callable[[Tensor, Gain], Tensor] = POOL.filter

    def filter(self, v: Tensor, gain: Gain, /) -> Tensor:
        return self.gained(v, gain)


def in_place(x: Tensor) -> Tensor:
    return POOL(x.mul_(2)) / 2


def other_inverse(y: Tensor) -> Tensor:
    """A right inverse that puts each value into one corner of its block."""
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
    "in place": (Mine(forward=in_place), "changes the image that it is given"),
    "image shape": (Mine(shape=(3, 8, 8)), "image_shape"),
    "adjoint's shape": (Mine(transpose=lambda y: y), r"adjoint\(y\) must be of shape"),
    "start's shape": (Mine(begin=lambda y: y), r"start\(y\) must be of shape"),
    "flat": (Mine(forward=lambda x: POOL(x).flatten(1)), r"\(B, c, h, w\)"),
    "precision": (Mine(transpose=lambda y: POOL.adjoint(y).float()), r"adjoint makes torch\.float32"),
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
def test_what_is_wrong_is_named_with_its_usual_cause(name: str) -> None:
    A, says = WRONG[name]
    with pytest.raises(OperatorError, match=says):
        check_operator(A, SHAPE)


def test_what_is_right_passes_with_a_report_of_errors_at_rounding() -> None:
    report = check_operator(Spectral(), SHAPE)
    assert report.filter is not None
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


def test_single_precision_and_a_loose_solve_need_a_tolerance_of_their_own() -> None:
    A = MatrixFree(forward=lambda x: x * weights.to(x), transpose=lambda y: y * weights.to(y), shape=(1, 4, 4))
    with pytest.raises(OperatorError, match=r"A A\^\+ A = A fails by .* \(limit 1e-08\)"):
        check_operator(A, (1, 4, 4))
    check_operator(A, (1, 4, 4), tolerance=1e-4)
    check_operator(A, (1, 4, 4), dtype=torch.float32)


weights = 1 + rand(4, 4).abs()
