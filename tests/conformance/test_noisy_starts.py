"""Starts of noisy images: as much of y's detail as its noise allows, for every operator with noise amplification."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from deqir.engine.chain_start import own_start
from deqir.linalg.axes import NOISE_DAMPING
from deqir.operators import (
    Colorization,
    Composition,
    Denoising,
    Inpainting,
    KernelSuperResolution,
    SeparableDeblurring,
    SuperResolution,
    kernels,
    masks,
)
from tests.conformance.dense import close, dense
from tests.deqir.problems import rand

BLUR = SeparableDeblurring(kernel=kernels.gaussian(1.5))
GAPS = Inpainting(keep=masks.random(16, 24, lost=0.7))


def rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


@pytest.mark.parametrize("kernel", ["bicubic", kernels.gaussian(1.2)])
@pytest.mark.parametrize("sigma_y", [0.02, 0.3])
def test_downsampling_by_a_kernel_is_undone_by_damped_least_squares(kernel, sigma_y) -> None:
    A = KernelSuperResolution(scale=2, kernel=kernel)
    matrix, y = dense(A, (1, 8, 12)), rand(2, 1, 4, 6)
    smooth = functional.interpolate(y, (8, 12), mode="bicubic")
    normal = matrix.mT @ matrix + (NOISE_DAMPING * sigma_y / 2) ** 2 * torch.eye(matrix.shape[1], dtype=torch.float64)
    off = (y - A(smooth)).flatten(1)
    close(A.start_of_noisy(y, sigma_y), smooth.flatten(1) + off @ matrix @ torch.linalg.inv(normal))


@pytest.mark.parametrize(
    "A",
    [
        KernelSuperResolution(scale=2, kernel=kernels.gaussian(1.6)),
        Composition(parts=(SuperResolution(scale=2), BLUR)),
        Composition(parts=(Colorization(), BLUR)),
        Composition(parts=(BLUR, Denoising())),
        Composition(parts=(GAPS, SuperResolution(scale=4))),
        Composition(parts=(Colorization(), GAPS, SuperResolution(scale=4))),
    ],
    ids=["kernel", "pooled, blurred", "grey, blurred", "blurred", "gaps, pooled", "grey, gaps, pooled"],
)
def test_noise_grows_less_than_in_a_start_that_takes_y_for_exact(A) -> None:
    """Starts are linear in y, so the start of pure noise is the noise's share in a start."""
    sigma_y = 0.1
    noise = sigma_y * rand(*A(rand(2, 3, 16, 24)).shape, seed=5)
    found, exact = rms(own_start(A, noise, sigma_y)), rms(own_start(A, noise, 0.0))
    assert found < 0.6 * exact
    assert found < 2.5 * sigma_y


def test_a_blur_that_is_told_of_noise_by_a_part_starts_as_the_blur_alone() -> None:
    y = rand(2, 3, 16, 24)
    close(Composition(parts=(BLUR, Denoising())).start_of_noisy(y, 0.1), BLUR.start_of_noisy(y, 0.1), to=1e-12)


def test_what_masks_left_enough_of_agrees_with_y() -> None:
    A = Composition(parts=(GAPS, SuperResolution(scale=4)))
    y = A(rand(2, 3, 16, 24))
    share = SuperResolution(scale=4)(GAPS.keep.double()[None, None])
    agrees = ((A(A.start_of_noisy(y, 0.1)) - y).abs() < 1e-9).all(1, keepdim=True)
    assert bool(agrees[share.expand(2, -1, -1, -1) > 0.45].all())
    assert not bool(agrees.all())
