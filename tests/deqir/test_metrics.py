"""PSNR and SSIM against scikit-image's."""

from __future__ import annotations

import numpy as np
import torch
from skimage import metrics as reference

from deqir.metrics import psnr, ssim
from tests.deqir.problems import rand


def test_psnr_and_ssim_are_those_of_scikit_image() -> None:
    a = rand(2, 3, 24, 31).clamp(-1, 1)
    b = (a + 0.2 * rand(2, 3, 24, 31, seed=1)).clamp(-1, 1)
    for n in range(2):
        x, y = (image[n].permute(1, 2, 0).numpy() for image in (a, b))
        wanted = reference.peak_signal_noise_ratio(x, y, data_range=2)
        np.testing.assert_allclose(float(psnr(a, b)[n]), wanted, rtol=1e-9)
        wanted = reference.structural_similarity(
            x, y, data_range=2, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        np.testing.assert_allclose(float(ssim(a, b)[n]), wanted, rtol=1e-6)


def test_equal_images_are_as_good_as_can_be() -> None:
    a = rand(1, 3, 16, 16)
    assert float(psnr(a, a)) == float("inf")
    torch.testing.assert_close(ssim(a, a), torch.ones(1, dtype=torch.float64))


def test_ssim_of_an_image_smaller_than_its_window_is_not_a_number() -> None:
    assert bool(ssim(torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 10, 40)).isnan())
