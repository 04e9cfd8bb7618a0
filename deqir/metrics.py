"""Closeness of two images: PSNR and SSIM; `deqir.pretrained.lpips` has LPIPS."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .shapes import Float


def psnr(a: Float[Tensor, "B C H W"], b: Float[Tensor, "B C H W"]) -> Float[Tensor, " B"]:
    """Return the peak signal-to-noise ratio of each pair in dB, for images in [-1, 1] (peak to peak 2)."""
    return 10 * torch.log10(4 / (a - b).square().flatten(1).mean(1))


def ssim(a: Float[Tensor, "B C H W"], b: Float[Tensor, "B C H W"]) -> Float[Tensor, " B"]:
    """Return the structural similarity of each pair, for images in [-1, 1].

    Gaussian window of 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03, mean over channels and over the pixels
    whose window lies inside the image (Wang et al., 2004, https://doi.org/10.1109/TIP.2003.819861). nan for
    images of fewer than 11 pixels a side, which hold no window.
    """
    if min(a.shape[-2:]) < 11:
        return a.new_full((len(a),), float("nan"))
    distance = torch.arange(-5, 6, dtype=a.dtype, device=a.device)
    line = torch.exp(-(distance**2) / (2 * 1.5**2))
    line = line / line.sum()
    window = torch.outer(line, line)[None, None]

    def mean(x: Tensor) -> Tensor:
        return functional.conv2d(x.reshape(-1, 1, *x.shape[-2:]), window)

    mu_a, mu_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mu_a**2, mean(b * b) - mu_b**2
    covariance = mean(a * b) - mu_a * mu_b
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    similarity = (2 * mu_a * mu_b + c1) * (2 * covariance + c2)
    similarity = similarity / ((mu_a**2 + mu_b**2 + c1) * (var_a + var_b + c2))
    return similarity.view(len(a), -1).mean(1)
