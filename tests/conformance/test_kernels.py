"""Kernels against the moments and shapes of their blurs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deqir.operators import kernels


def moments(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """The mean place and the covariance of a kernel's weight, in pixels right and up from its middle."""
    rows, columns = kernel.shape
    up, right = torch.meshgrid(rows // 2 - torch.arange(rows), torch.arange(columns) - columns // 2, indexing="ij")
    place = torch.stack([right, up]).double()
    mean = (kernel * place).sum((1, 2))
    centred = place - mean[:, None, None]
    return mean, torch.einsum("ij,aij,bij->ab", kernel, centred, centred)


@settings(deadline=None)
@given(st.floats(0.3, 6))
def test_a_gaussian_has_its_width_and_sums_to_one(width) -> None:
    kernel = kernels.gaussian(width)
    assert kernel.dtype == torch.float64
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-12)
    _, covariance = moments(kernel[None])
    if width > 0.7:  # narrower than that, sampling at pixels changes the width
        assert math.sqrt(float(covariance[0, 0])) == pytest.approx(width, rel=0.01)


@settings(deadline=None)
@given(st.floats(0.8, 3), st.floats(0.8, 3), st.floats(-180, 180))
def test_an_anisotropic_gaussian_is_wide_along_its_angle(along, across, angle) -> None:
    mean, covariance = moments(kernels.gaussian_2d(along, across, angle))
    axis = torch.tensor([math.cos(math.radians(angle)), math.sin(math.radians(angle))], dtype=torch.float64)
    expected = along**2 * torch.outer(axis, axis) + across**2 * (torch.eye(2) - torch.outer(axis, axis))
    torch.testing.assert_close(mean, torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(covariance, expected, atol=0.03, rtol=0.01)


@settings(deadline=None)
@given(st.floats(1, 20), st.floats(-180, 180))
def test_motion_spreads_a_point_evenly_along_its_direction(length, angle) -> None:
    kernel = kernels.motion(length, angle)
    mean, covariance = moments(kernel)
    axis = torch.tensor([math.cos(math.radians(angle)), math.sin(math.radians(angle))], dtype=torch.float64)
    assert float(kernel.min()) >= 0
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(mean, torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)
    # moments of a bar of this length and one pixel thick, up to the place of the weight within its pixel
    assert float(axis @ covariance @ axis) == pytest.approx(length**2 / 12, abs=0.2 + 0.02 * length)
    assert float(covariance.trace()) == pytest.approx((length**2 + 1) / 12, abs=0.3 + 0.02 * length)


def test_motion_along_an_axis_is_a_uniform_kernel() -> None:
    torch.testing.assert_close(kernels.motion(15), kernels.uniform(15)[None])
    torch.testing.assert_close(kernels.motion(15, 90), kernels.uniform(15)[:, None])


def test_a_rising_motion_goes_up_to_the_right() -> None:
    kernel = kernels.motion(9, 45)
    assert float(kernel[0, -1]) > 0
    assert float(kernel[0, 0]) == 0


@pytest.mark.parametrize("radius", [0.5, 1.5, 4.2])
def test_a_disk_covers_its_area(radius) -> None:
    kernel = kernels.disk(radius)
    assert 1 / float(kernel.max()) == pytest.approx(max(1, math.pi * radius**2), rel=0.03)
    torch.testing.assert_close(kernel, kernel.mT)
    torch.testing.assert_close(kernel, kernel.flip(0))


@pytest.mark.parametrize(("scale", "taps"), [(1, 3), (2, 8), (3, 11), (4, 16), (16, 64)])
def test_a_bicubic_kernel_has_four_pixels_of_the_small_image(scale, taps) -> None:
    kernel = kernels.bicubic(scale)
    assert len(kernel) == taps
    torch.testing.assert_close(kernel, kernel.flip(0))
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-12)
    assert float(kernel.min()) < 0 or scale == 1


def test_an_array_or_a_picture_becomes_a_kernel_that_keeps_the_brightness() -> None:
    picture = np.array([[0, 0, 0], [255, 255, 0]], dtype=np.uint8)
    expected = torch.tensor([[0, 0, 0], [0.5, 0.5, 0]], dtype=torch.float64)
    torch.testing.assert_close(kernels.from_array(picture), expected)
    torch.testing.assert_close(kernels.from_array(np.stack([picture] * 3, -1)), expected)
    torch.testing.assert_close(kernels.from_array([1, 3]), torch.tensor([0.25, 0.75], dtype=torch.float64))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.zeros((3, 3)), "is the picture black"),
        ([1.0, -1.0], "sums to nothing"),
        ([1.0, math.nan], "nan or inf"),
        (np.ones((2, 2, 4)), "one dimension or two"),
        ([], "at least one weight"),
        (3.0, "one dimension or two"),
    ],
)
def test_what_is_no_kernel_is_refused(values, says) -> None:
    with pytest.raises(ValueError, match=says):
        kernels.from_array(values)  # type: ignore[arg-type]


def test_sizes_that_make_no_kernel_are_refused() -> None:
    with pytest.raises(ValueError, match="width"):
        kernels.gaussian(0)
    with pytest.raises(ValueError, match="width"):
        kernels.gaussian_2d(1, math.nan)
    with pytest.raises(ValueError, match="length"):
        kernels.motion(-1)
    with pytest.raises(ValueError, match="radius"):
        kernels.disk(0)
    with pytest.raises(ValueError, match="length"):
        kernels.uniform(0)
    with pytest.raises(ValueError, match="scale"):
        kernels.bicubic(0)
