"""Pooling, masks and grey against linear algebra; tests/conformance has every operator."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deqir.operators import Colorization, Inpainting, SuperResolution
from deqir.operators.colorization import REC_601
from deqir.protocols import LinearOperator
from tests.conformance.dense import Shape, assert_conforms
from tests.deqir.problems import rand

GREYS = (1 / 3, 1 / 3, 1 / 3)


@st.composite
def problems(draw: st.DrawFn) -> tuple[LinearOperator, Shape]:
    """An operator and the shape of an image for it."""
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    kind = draw(st.sampled_from(["SuperResolution", "Inpainting", "Colorization"]))
    if kind == "SuperResolution":
        scale = draw(st.integers(1, 4))
        channels = draw(st.sampled_from([1, 3]))
        return SuperResolution(scale=scale), (channels, height * scale, width * scale)
    if kind == "Inpainting":
        kept = draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width).filter(any))
        return Inpainting(keep=torch.tensor(kept).view(height, width)), (draw(st.sampled_from([1, 3])), height, width)
    return Colorization(weights=draw(st.sampled_from([REC_601, GREYS]))), (3, height, width)


@settings(deadline=None, max_examples=60)
@given(problems())
def test_all_methods_are_those_of_the_dense_matrix(problem) -> None:
    assert_conforms(*problem)


@settings(deadline=None, max_examples=60)
@given(problems())
def test_the_four_penrose_conditions_hold(problem) -> None:
    A, shape = problem
    x, u = rand(2, *shape), rand(2, *shape, seed=2)
    y, v = A(x), rand(*A(x).shape, seed=1)
    torch.testing.assert_close(A(A.pinv(y)), y)
    torch.testing.assert_close(A.pinv(A(A.pinv(v))), A.pinv(v))
    torch.testing.assert_close((A(A.pinv(v)) * y).sum(), (v * A(A.pinv(y))).sum())
    torch.testing.assert_close((A.pinv(A(x)) * u).sum(), (x * A.pinv(A(u))).sum())


@settings(deadline=None, max_examples=60)
@given(problems())
def test_the_start_agrees_with_the_data_and_has_the_stated_shape(problem) -> None:
    A, shape = problem
    y = A(rand(2, *shape))
    assert A.image_shape(tuple(y.shape)) == shape
    start = A.start(y)
    assert start.shape[1:] == A.guess(y).shape[1:] == shape
    torch.testing.assert_close(A(start), y)


def test_a_smooth_image_is_its_own_start() -> None:
    """Bicubic interpolation reproduces a plane away from borders, and Laplace's equation leaves it alone."""
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    x = ((rows + 2 * columns) / 96 - 0.5).double().expand(1, 3, -1, -1)
    inside = (..., slice(8, -8), slice(8, -8))
    upscale = SuperResolution(scale=2)
    error = (upscale.start(upscale(x)) - x)[inside].abs().max()
    assert error < 1 / 255  # the usual cubic kernel (a = -0.75) reproduces a plane only nearly
    keep = torch.rand(32, 32, generator=torch.Generator().manual_seed(0)) > 0.5
    gaps = Inpainting(keep=keep)
    error = (gaps.start(gaps(x)) - x)[inside].abs().max()
    assert error < 1 / 255  # away from the image's border, where neighbours are missing


def test_a_large_hole_is_filled_from_its_border_without_the_masked_values() -> None:
    keep = torch.ones(64, 64, dtype=torch.bool)
    keep[16:48, 16:48] = False
    x = torch.full((1, 3, 64, 64), 0.25, dtype=torch.float64)
    x[..., ~keep] = -1.0
    torch.testing.assert_close(Inpainting(keep=keep).start(x), torch.full_like(x, 0.25))


@pytest.mark.parametrize(
    ("A", "shape", "says"),
    [
        (SuperResolution(scale=4), (1, 3, 10, 12), "divisible by 4"),
        (Inpainting(keep=torch.ones(4, 4, dtype=torch.bool)), (1, 3, 4, 5), "has 4 x 4 pixels, but the image 5 x 4; "),
        (Colorization(), (1, 1, 4, 4), "3 channels"),
    ],
)
def test_a_wrong_shape_is_named_with_the_remedy(A, shape, says) -> None:
    with pytest.raises(ValueError, match=says):
        A(torch.zeros(shape))


@pytest.mark.parametrize("method", ["image_shape", "adjoint", "pinv", "start", "guess"])
@pytest.mark.parametrize(
    ("A", "shape", "says"),
    [
        (Inpainting(keep=torch.ones(4, 4, dtype=torch.bool)), (1, 3, 5, 4), "must have its image's size"),
        (Colorization(), (1, 3, 4, 4), "1 grey channel, got 3; pass only 1 of them"),
    ],
)
def test_observations_of_a_wrong_shape_are_refused_by_every_method(A, shape, says, method) -> None:
    with pytest.raises(ValueError, match=says):
        getattr(A, method)(shape if method == "image_shape" else torch.zeros(shape))
