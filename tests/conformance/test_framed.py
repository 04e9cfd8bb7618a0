"""Blur of a scene wider than its photograph, against torch's convolution, dense matrices and assumed boundaries."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from deqir import Restorer
from deqir.metrics import psnr
from deqir.operators import Deblurring, FramedDeblurring, kernels
from deqir.protocols import SpectralOperator
from tests.deqir.problems import rand, toy_denoiser

from .dense import assert_conforms, close

ONE_SIDED = kernels.from_array([[0.0, 0.1, 0.0, 0.2], [0.3, 0.9, 0.2, 0.0], [0.1, 0.0, 0.0, 0.4]])
OFF_CENTRE = functional.pad(ONE_SIDED, (5, 0, 0, 0))
KERNELS = {
    "motion": kernels.motion(5, 30),
    "disk": kernels.disk(1.8),
    "one-sided": ONE_SIDED,
    "point": torch.ones(1, 1),
}


def smooth_scene(height: int, width: int) -> Tensor:
    """Waves within [-1, 1], neither repeated nor mirrored at a border."""
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    waves = [torch.sin(0.31 * x + 0.17 * y + c) + torch.cos(0.23 * y - 0.11 * x + 2 * c) for c in range(3)]
    return torch.stack(waves)[None] / 2


def rounded(y: Tensor) -> Tensor:
    return (y * 127.5 + 127.5).round() / 127.5 - 1


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("size", [(11, 14), (30, 31)])
def test_y_is_the_valid_part_of_a_convolution(name, size) -> None:
    kernel = kernels.from_array(KERNELS[name])
    scene = rand(2, 3, *size)
    expected = functional.conv2d(scene.flatten(0, 1)[:, None], kernel.flip(0, 1)[None, None])
    y = FramedDeblurring(kernel=kernel)(scene)
    assert y.shape[-2:] == expected.shape[-2:]
    close(y.flatten(0, 1), expected[:, 0])


@settings(deadline=None, max_examples=15)
@given(st.sampled_from(list(KERNELS)), st.integers(1, 5), st.integers(1, 6))
def test_every_method_is_that_of_the_dense_matrix(name, height, width) -> None:
    A = FramedDeblurring(kernel=KERNELS[name], tolerance=1e-14, max_iterations=1000)
    assert_conforms(A, A.image_shape((1, height, width)))


def test_the_framed_part_is_where_y_is() -> None:
    """A lone point in the framed part becomes the kernel's picture, with its middle at the point's place."""
    A = FramedDeblurring(kernel=ONE_SIDED)
    shape = A.image_shape((1, 9, 10))
    scene = rand(1, *shape)
    assert A.framed(scene).shape[-2:] == (9, 10)
    point = torch.zeros(1, 1, 9, 10, dtype=torch.float64)
    point[..., 4, 5] = 1
    seen = A(A.widened(point))
    close(seen[..., 3:6, 3:7][0, 0], ONE_SIDED)
    close(seen.sum()[None, None], torch.ones(1, 1, dtype=torch.float64))


def test_black_borders_of_a_kernel_widen_no_scene_and_the_middle_stays_in_it() -> None:
    padded = FramedDeblurring(kernel=functional.pad(kernels.disk(2), (6, 6, 6, 6)))
    plain = FramedDeblurring(kernel=kernels.disk(2))
    assert padded.image_shape((1, 7, 9)) == plain.image_shape((1, 7, 9)) == (1, 11, 13)
    scene = rand(1, 1, 11, 13)
    close(padded(scene), plain(scene))
    off = FramedDeblurring(kernel=OFF_CENTRE)
    image = rand(1, 3, 6, 8)
    close(off.framed(off.widened(image)), image)


def test_an_image_goes_on_as_in_a_mirror_however_far() -> None:
    A = FramedDeblurring(kernel=kernels.motion(9))
    row = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    assert A.widened(row)[0, 0, 0].tolist() == [3, 3, 2, 1, 1, 2, 3, 3, 2, 1, 1][-11:]


def test_a_start_agrees_with_y() -> None:
    A = FramedDeblurring(kernel=kernels.motion(7, 30))
    y = A(smooth_scene(40, 44))
    start = A.start(y)
    assert start.shape == (1, 3, 40, 44)
    assert float((A(start) - y).norm() / y.norm()) < 0.01


def test_a_scene_is_recovered_better_than_by_a_boundary_that_it_does_not_have() -> None:
    """y is cut out of a wider blurred scene and rounded to 8 bits, which no circular blur makes, tapered or not."""
    kernel = kernels.motion(9, 30)
    A, circular = FramedDeblurring(kernel=kernel), Deblurring(kernel=kernel, threshold=0.05)
    scene = smooth_scene(56, 60)
    y, x = rounded(A(scene)), A.framed(scene)
    tapered = circular.tapered(y)
    assert float(psnr(A.framed(A.pinv(y)), x)) > float(psnr(circular.pinv(tapered), x)) + 4
    assert float(psnr(A.framed(A.start(y)), x)) > float(psnr(circular.start(tapered), x)) + 4


def test_few_iterations_give_the_nearest_so_far_and_raise_nothing() -> None:
    A = FramedDeblurring(kernel=kernels.disk(3), tolerance=1e-9)
    y = A(rand(2, 1, 20, 21))
    exact = replace(A, max_iterations=5000).pinv(y)
    errors = [float((replace(A, max_iterations=n).pinv(y) - exact).norm()) for n in (1, 4, 16)]
    assert errors == sorted(errors, reverse=True)
    assert not bool(replace(A, max_iterations=4).solve(y).converged.any())


def test_an_image_that_is_not_finite_spoils_no_other() -> None:
    A = FramedDeblurring(kernel=kernels.disk(1.5))
    y = A(rand(2, 1, 12, 13))
    broken = torch.cat([y, torch.full_like(y[:1], math.nan)])
    close(A.pinv(broken)[:2], A.pinv(y))
    assert bool(A.pinv(broken)[2].isnan().all())


def test_noise_needs_another_operator_and_the_error_says_so() -> None:
    A = FramedDeblurring(kernel=kernels.motion(3))
    assert not isinstance(A, SpectralOperator)
    restorer = Restorer(toy_denoiser, steps=2)
    with pytest.raises(ValueError, match="sigma_y = 0"):
        restorer(torch.zeros(1, 3, 8, 8, dtype=torch.float64), A, sigma_y=0.1)
