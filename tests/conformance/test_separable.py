"""Separable operators against dense matrices, other libraries' convolutions, and each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from deqir.linalg.axes import _decomposed, axis_matrix
from deqir.operators import KernelSuperResolution, SeparableDeblurring, SuperResolution, kernels
from deqir.protocols import SpectralOperator
from tests.deqir.problems import rand

from .dense import Shape, close, dense
from .truncated import assert_penrose_on_kept, assert_truncated, clear_threshold

SKEWED = torch.tensor([0.1, 0.2, 0.4, 0.3], dtype=torch.float64)


Settings = dict[str, Any]


@st.composite
def taps(draw: st.DrawFn) -> Tensor:
    """A 1-D kernel, symmetric or not, of even or odd length, narrower or wider than the image."""
    weights = draw(st.lists(st.floats(0.05, 1), min_size=1, max_size=11))
    named = [kernels.gaussian(0.8), kernels.gaussian(2.0), kernels.uniform(3), kernels.uniform(6)]
    return draw(st.sampled_from([*named, torch.tensor(weights, dtype=torch.float64)]))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Settings, Shape]:
    """An operator's settings and the shape of an image for it."""
    height, width, channels = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.sampled_from([1, 2]))
    kernel, threshold = st.one_of(taps(), st.tuples(taps(), taps())), draw(st.sampled_from([0.01, 0.05, 0.2]))
    if draw(st.booleans()):
        scale = draw(st.integers(1, 4)), draw(st.integers(1, 5))
        weights = draw(st.one_of(st.just("bicubic"), kernel))
        shape = channels, height * scale[0], width * scale[1]
        return {"scale": scale, "kernel": weights, "threshold": threshold}, shape
    return {"kernel": draw(kernel), "threshold": threshold}, (channels, 2 * height, 2 * width - 1)


def made(chosen: Settings, shape: Shape) -> KernelSuperResolution | SeparableDeblurring:
    """The operator with its threshold moved up into a gap of the singular values."""
    A = KernelSuperResolution(**chosen) if "scale" in chosen else SeparableDeblurring(**chosen)
    return replace(A, threshold=clear_threshold(dense(A, (1, *shape[1:])), A.threshold))


@settings(deadline=None, max_examples=80)
@given(problems())
def test_every_method_is_that_of_the_dense_matrix_without_small_singular_values(problem) -> None:
    A = made(*problem)
    assert isinstance(A, SpectralOperator)
    assert_truncated(A, problem[1], threshold=A.threshold)


@settings(deadline=None, max_examples=40)
@given(problems())
def test_the_penrose_conditions_hold_on_what_is_kept(problem) -> None:
    assert_penrose_on_kept(made(*problem), problem[1])


@pytest.mark.parametrize(
    "kernel", [kernels.gaussian(1.6), kernels.uniform(9), SKEWED], ids=["gaussian", "box", "skewed"]
)
def test_blur_is_the_convolution_with_mirrored_borders_that_scipy_computes(kernel) -> None:
    x = rand(1, 1, 7, 12)
    expected = x[0, 0].numpy()
    for axis in (0, 1):
        expected = ndimage.convolve1d(expected, kernel.numpy(), axis=axis, mode="reflect")
    close(SeparableDeblurring(kernel=kernel)(x)[0, 0], torch.tensor(expected))


@pytest.mark.parametrize("scale", [2, 3, 4, 8, 16])
def test_bicubic_downsampling_is_torchs_antialiased_one_away_from_the_borders(scale) -> None:
    x = rand(1, 3, 8 * scale, 7 * scale)
    expected = functional.interpolate(x, (8, 7), mode="bicubic", antialias=True)
    close(KernelSuperResolution(scale=scale)(x)[..., 2:-2, 2:-2].flatten(1), expected[..., 2:-2, 2:-2].flatten(1))


def test_bicubic_downsampling_is_that_of_ddnm_at_the_borders_too() -> None:
    """Keys' cubic at 16 places, applied to pixels mirrored at the border."""
    scale, side = 4, 12

    def cubic(x: float) -> float:
        x, a = abs(x), -0.5
        return (a + 2) * x**3 - (a + 3) * x**2 + 1 if x <= 1 else a * (x**3 - 5 * x**2 + 8 * x - 4)

    weights = np.array([cubic((i - 2 * scale + 0.5) / scale) for i in range(4 * scale)])
    weights /= weights.sum()
    x = rand(1, 1, side, side)
    wide = np.pad(x[0, 0].numpy(), 2 * scale, mode="symmetric")
    expected = torch.zeros(side // scale, side // scale, dtype=torch.float64)
    for i in range(side // scale):
        for j in range(side // scale):
            top, left = (scale * n + scale // 2 for n in (i, j))
            block = wide[top : top + 4 * scale, left : left + 4 * scale]
            expected[i, j] = float(weights @ block @ weights)
    close(KernelSuperResolution(scale=scale)(x)[0, 0], expected)


@pytest.mark.parametrize("scale", [2, 3, (2, 3), (1, 4)])
def test_downsampling_by_a_uniform_kernel_is_average_pooling(scale) -> None:
    pair = (scale, scale) if isinstance(scale, int) else scale
    by_kernel = KernelSuperResolution(scale=scale, kernel=(kernels.uniform(pair[0]), kernels.uniform(pair[1])))
    pooling, x = SuperResolution(scale=scale), rand(2, 3, 6, 12)
    y = pooling(x)
    close(by_kernel(x), y)
    for method in ("adjoint", "pinv", "start"):
        close(getattr(by_kernel, method)(y), getattr(pooling, method)(y))
    close(by_kernel.filter(x, lambda s: 1 / (1 + s)), pooling.filter(x, lambda s: 1 / (1 + s)))


@pytest.mark.parametrize("scale", [2, 3, 8, 16, (2, 4)])
def test_a_bicubic_kernel_loses_no_singular_value_so_its_start_agrees_with_y(scale) -> None:
    A = KernelSuperResolution(scale=scale)
    y = rand(1, 3, 5, 6)
    close(A(A.start(y)), y)


def test_an_even_picture_stays_as_it_is() -> None:
    x = torch.full((1, 3, 12, 16), 0.3, dtype=torch.float64)
    for A in (KernelSuperResolution(scale=4), SeparableDeblurring(kernel=(kernels.gaussian(2.0), SKEWED))):
        close(A(x), torch.full_like(A(x), 0.3))
        close(A.start(A(x)), x)


def test_long_sides_are_exact_too() -> None:
    for A in (KernelSuperResolution(scale=4), SeparableDeblurring(kernel=kernels.gaussian(1.6), threshold=0.01)):
        x = rand(1, 1, 16, 512)
        kept = A.filter(x, lambda s: (s > 0).to(s))
        close(A.pinv(A(x)), kept)
        close(A.filter(kept, lambda s: s.square()), A.adjoint(A(kept)))


@settings(deadline=None, max_examples=60)
@given(taps(), st.booleans(), st.integers(1, 6), st.integers(1, 9))
def test_the_factors_of_an_axis_are_those_of_its_matrix(weights, even, stride, coarse) -> None:
    """Symmetric kernels have their factors without a decomposition, also kernels wider than the axis."""
    weights = (weights + weights.flip(0)).double() / 2 if even else weights.double()
    kernel, length = tuple(weights.tolist()), stride * coarse
    U, s, V = _decomposed(kernel, stride, length)
    matrix = axis_matrix(kernel, stride, length)
    close(U * s @ V.mT, matrix, to=1e-12)
    close(U.mT @ U, torch.eye(coarse, dtype=torch.float64), to=1e-12)
    kept = s > 1e-9 * s.max()
    close(V[:, kept].mT @ V[:, kept], torch.eye(int(kept.sum()), dtype=torch.float64), to=1e-12)
    close(s.sort(descending=True).values[None], torch.linalg.svdvals(matrix)[None], to=1e-12)


def test_a_long_axis_has_orthonormal_factors_at_once() -> None:
    """There is neither a decomposition of seconds nor a loss of digits in cosines of large numbers."""
    for taps, stride in ((kernels.gaussian(2.0), 1), (kernels.bicubic(4), 4)):
        U, s, V = _decomposed(tuple(taps.tolist()), stride, 4096)
        x = rand(1, 4096)
        seen = x @ axis_matrix(tuple(taps.tolist()), stride, 4096).mT
        close(x @ V * s @ U.mT, seen, to=1e-12)
        kept = s > 1e-3
        close((V.mT @ (V @ rand(V.shape[1], 2)))[kept], rand(V.shape[1], 2)[kept], to=1e-10)
