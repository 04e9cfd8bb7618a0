"""Nearest, Lanczos and sharpened super-resolution against Pillow and slices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from deqir.operators import KernelSuperResolution, NearestSuperResolution, UnsharpMask
from deqir.priors.starters.enlarging import shifted


def noise(height: int, width: int) -> Tensor:
    return torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(3))


def smooth(height: int, width: int) -> Tensor:
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (0.5 + 0.2 * torch.sin(down / 5) * torch.cos(across / 7) + 0.2 * torch.sin(across / 3))[None, None]


def by_pillow(x: Tensor, scale: int, method: Image.Resampling) -> Tensor:
    size = (x.shape[-1] // scale, x.shape[-2] // scale)
    return torch.from_numpy(np.array(Image.fromarray(x[0, 0].numpy()).resize(size, method)))


@pytest.mark.parametrize("scale", [2, 3, 4, 5])
def test_nearest_keeps_the_pixels_that_pillow_keeps(scale: int) -> None:
    x = noise(6 * scale, 5 * scale)
    assert torch.equal(NearestSuperResolution(scale=scale)(x)[0, 0], by_pillow(x, scale, Image.Resampling.NEAREST))


def test_nearest_from_the_first_pixel_is_a_slice() -> None:
    x = noise(12, 8)
    assert torch.equal(NearestSuperResolution(scale=4, place=(0, 0))(x), x[..., ::4, ::4])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lanczos_is_pillows_away_from_the_borders(scale: int) -> None:
    x = noise(24 * scale, 20 * scale)
    ours = KernelSuperResolution(scale=scale, kernel="lanczos")(x)[0, 0]
    theirs = by_pillow(x, scale, Image.Resampling.LANCZOS)
    torch.testing.assert_close(ours[4:-4, 4:-4], theirs[4:-4, 4:-4], atol=1e-5, rtol=0)


def test_sharpening_is_near_pillows_unsharp_mask() -> None:
    x = smooth(96, 80)
    ours = KernelSuperResolution(scale=2, sharpening=UnsharpMask())(x)[0, 0] * 255
    small = (KernelSuperResolution(scale=2)(x)[0, 0] * 255).round().byte().numpy()
    theirs = np.array(Image.fromarray(small).filter(ImageFilter.UnsharpMask(1, 150, 0))).astype(float)
    difference = (ours.numpy() - theirs)[3:-3, 3:-3]  # Pillow rounds before the mask and in it, and blurs by boxes
    assert np.sqrt(np.square(difference).mean()) < 1.5


def test_unsharpened_is_the_image_before_the_mask() -> None:
    x = noise(16, 24).double()
    A = KernelSuperResolution(scale=2, sharpening=UnsharpMask(amount=2.0, radius=0.8))
    torch.testing.assert_close(A.unsharpened(A(x)), KernelSuperResolution(scale=2)(x))


def test_the_start_of_nearest_passes_through_the_kept_pixels_and_follows_a_ramp() -> None:
    x = (torch.arange(40.0)[:, None] + 2 * torch.arange(36.0))[None, None]
    A = NearestSuperResolution(scale=4)
    start = A.start(A(x))
    assert torch.equal(A(start), A(x))
    torch.testing.assert_close(start[..., 8:-8, 8:-8], x[..., 8:-8, 8:-8])


def test_shifted_moves_a_ramp_by_parts_of_a_pixel() -> None:
    x = (torch.arange(20.0)[:, None] + 3 * torch.arange(24.0))[None, None]
    torch.testing.assert_close(
        shifted(x, (0.5, 0.25))[..., 4:-4, 4:-4], (x - 0.5 - 0.75)[..., 4:-4, 4:-4], atol=0.3, rtol=0
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NearestSuperResolution(scale=3, place=(0, 3)), "not in a block"),
        (lambda: UnsharpMask(amount=0), "amount"),
        (lambda: UnsharpMask(radius=float("inf")), "radius"),
        (lambda: KernelSuperResolution(kernel=torch.tensor([1.0, 2, 1]), sharpening=UnsharpMask()), "symmetric"),
    ],
)
def test_impossible_kernels_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
