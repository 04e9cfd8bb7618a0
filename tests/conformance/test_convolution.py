"""Blur through the Fourier transform against dense matrices and scipy's convolutions."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from deqir.operators import Deblurring, Inpainting, MatrixFree, SeparableDeblurring, kernels
from deqir.protocols import SpectralOperator
from tests.deqir.problems import rand

from .dense import Shape, close, dense
from .truncated import assert_penrose_on_kept, assert_truncated, clear_threshold

ONE_SIDED = kernels.from_array([[0.0, 0.1, 0.0, 0.2], [0.3, 0.9, 0.2, 0.0], [0.1, 0.0, 0.0, 0.4]])
AXES = (kernels.gaussian(1.0), torch.tensor([0.1, 0.2, 0.4, 0.3], dtype=torch.float64))
MIRRORED = [kernels.disk(1.8), kernels.motion(5), kernels.motion(3, 90), kernels.gaussian_2d(0.5, 1.5)]
OTHERS = [ONE_SIDED, kernels.motion(4, 30), kernels.gaussian_2d(1.5, 0.6, 30), kernels.uniform(2)[None]]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Deblurring, Shape]:
    """An operator and the shape of an image for it."""
    boundary: Literal["circular", "reflect"] = draw(st.sampled_from(["circular", "reflect"]))
    kernel = draw(st.sampled_from(MIRRORED if boundary == "reflect" else [*MIRRORED, *OTHERS]))
    A = Deblurring(kernel=kernel, boundary=boundary, threshold=draw(st.sampled_from([0.01, 0.05, 0.2])))
    return A, (draw(st.sampled_from([1, 3])), draw(st.integers(1, 7)), draw(st.integers(1, 8)))


def made(A: Deblurring, shape: Shape) -> Deblurring:
    """The operator with its threshold moved up into a gap of the singular values."""
    return replace(A, threshold=clear_threshold(dense(A, (1, *shape[1:])), A.threshold))


@settings(deadline=None, max_examples=80)
@given(problems())
def test_every_method_is_that_of_the_dense_matrix_without_small_singular_values(problem) -> None:
    A, shape = made(*problem), problem[1]
    assert isinstance(A, SpectralOperator)
    assert_truncated(A, shape, threshold=A.threshold)


@settings(deadline=None, max_examples=40)
@given(problems())
def test_the_penrose_conditions_hold_on_what_is_kept(problem) -> None:
    assert_penrose_on_kept(made(*problem), problem[1])


@pytest.mark.parametrize("size", [(7, 12), (3, 2)], ids=["wide", "smaller-than-the-kernel"])
@pytest.mark.parametrize("kernel", [*MIRRORED, *OTHERS])
def test_a_circular_blur_is_scipys(kernel, size) -> None:
    x = rand(1, 1, *size)
    expected = ndimage.convolve(x[0, 0].numpy(), kernel.numpy(), mode="wrap")
    close(Deblurring(kernel=kernel)(x)[0, 0], torch.tensor(expected))


@pytest.mark.parametrize("size", [(7, 12), (3, 2)], ids=["wide", "smaller-than-the-kernel"])
@pytest.mark.parametrize("kernel", MIRRORED)
def test_a_blur_with_mirrors_at_the_borders_is_scipys(kernel, size) -> None:
    x = rand(1, 1, *size)
    expected = ndimage.convolve(x[0, 0].numpy(), kernel.numpy(), mode="reflect")
    close(Deblurring(kernel=kernel, boundary="reflect")(x)[0, 0], torch.tensor(expected))


def test_a_kernel_that_is_a_product_makes_the_separable_operator() -> None:
    down, across = kernels.gaussian(1.0), kernels.uniform(3)
    whole = Deblurring(kernel=torch.outer(down, across), boundary="reflect")
    axes, x = SeparableDeblurring(kernel=(down, across)), rand(2, 3, 9, 10)
    for method in ("__call__", "adjoint", "pinv", "start"):
        close(getattr(whole, method)(x), getattr(axes, method)(x))
    close(whole.filter(x, lambda s: 1 / (1 + s)), axes.filter(x, lambda s: 1 / (1 + s)))


@pytest.mark.parametrize(
    "A", [Deblurring(kernel=ONE_SIDED, damping=0.1), SeparableDeblurring(kernel=AXES, damping=0.1)]
)
def test_the_start_is_the_damped_inverse_about_y(A) -> None:
    y = rand(2, 1, 6, 7)
    matrix, flat = dense(A, (1, 6, 7)), y.flatten(1)
    damped = matrix.mT @ matrix + 0.1**2 * torch.eye(42, dtype=torch.float64)
    correction = torch.linalg.solve(damped, matrix.mT @ (flat - flat @ matrix.mT).mT)
    close(A.start(y).flatten(1), flat + correction.mT)


@pytest.mark.parametrize(
    "A",
    [
        Deblurring(kernel=kernels.motion(9, 30), threshold=0.01),
        SeparableDeblurring(kernel=kernels.gaussian(1.6), threshold=0.01),
    ],
)
def test_float32_is_right_to_its_precision_over_the_smallest_singular_value_kept(A) -> None:
    x = rand(2, 3, 40, 47).clamp(-1, 1)
    y = A(x)
    assert float((A(x.float()) - y).abs().max()) < 1e-6
    for method in (A.pinv, A.start):
        assert float((method(y.float()) - method(y)).abs().max()) < 1e-6 / A.threshold


@pytest.mark.parametrize("A", [Deblurring(kernel=ONE_SIDED), SeparableDeblurring(kernel=kernels.gaussian(0.9))])
def test_what_was_kept_from_inference_serves_gradients(A) -> None:
    x = rand(1, 1, 9, 11)
    with torch.inference_mode():
        A.pinv(A(x))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(A.pinv(A(x)).square().sum(), x)
    close(gradient, 2 * A.filter(x.detach(), lambda s: (s > 0).to(s)))


def test_a_photograph_that_is_tapered_meets_itself_at_the_borders_and_is_untouched_inside() -> None:
    """A ramp blurred in a larger frame has a step where its tiles meet; an image blurred by A has no step."""
    A = Deblurring(kernel=kernels.motion(7, 30))
    y = torch.linspace(-1, 1, 48, dtype=torch.float64).expand(1, 1, 40, -1)
    tapered = A.tapered(y)
    step = (tapered[..., 0] - tapered[..., -1]).abs().max()
    assert step < 0.3 * (y[..., 0] - y[..., -1]).abs().max()
    close(tapered[..., 8:-8, 8:-8].flatten(1), y[..., 8:-8, 8:-8].flatten(1))
    inside = (..., slice(10, -10), slice(10, -10))
    ringing = (A.start(y) - y)[inside].abs().max()
    assert (A.start(tapered) - y)[inside].abs().max() < 0.5 * ringing
    mirror = Deblurring(kernel=kernels.disk(2), boundary="reflect")
    assert mirror.tapered(y) is y


def test_a_wide_frame_seen_inside_needs_no_boundary() -> None:
    """A scene blurred and then cut equals the inside of a wide frame blurred by the circular operator."""
    scene = rand(1, 1, 20, 24)
    blurred = ndimage.convolve(scene[0, 0].numpy(), ONE_SIDED.numpy(), mode="constant")
    inside = torch.zeros(20, 24, dtype=torch.bool)
    inside[2:-2, 2:-2] = True
    A = MatrixFree.of_parts((Deblurring(kernel=ONE_SIDED), Inpainting(keep=inside)), (1, 20, 24), tolerance=1e-12)
    y = torch.tensor(blurred) * inside
    close(A(scene)[0, 0], y)
    close(A(A.pinv(y[None, None]))[0, 0], y, to=1e-6)
