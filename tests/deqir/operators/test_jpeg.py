"""JPEG as an operator, against Pillow's encoder and against dense matrices."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

import deqir
from deqir.linalg.whitening import whitened
from deqir.metrics import psnr
from deqir.operators import JpegCompression
from deqir.operators.checking import check_operator
from deqir.operators.jpeg.layout import Factors, Layout, blocks_of, plane_of, transformed
from pipeline.images.jpeg_file import read_jpeg

LAYOUTS: dict[str, Factors] = {
    "4:4:4": ((1, 1), (1, 1), (1, 1)),
    "4:2:2": ((1, 2), (1, 1), (1, 1)),
    "4:2:0": ((2, 2), (1, 1), (1, 1)),
    "4:4:0": ((2, 1), (1, 1), (1, 1)),
    "4:1:1": ((1, 4), (1, 1), (1, 1)),
    "grey": ((1, 1),),
}


def photo(height: int, width: int) -> Image.Image:
    """Return a smooth picture with some grain, from 40 to 220 levels."""
    generator = np.random.default_rng(5)
    down, across = np.mgrid[:height, :width]
    waves = [np.sin(down / (5 + n) + across / (9 - 2 * n) + n) for n in range(3)]
    pixels = 130 + 60 * np.stack(waves, -1) + generator.normal(0, 8, (height, width, 3))
    return Image.fromarray(pixels.clip(40, 220).round().astype(np.uint8))


def file_of(image: Image.Image, quality: int, subsampling: int = 2) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def pixels_of(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).double() / 127.5 - 1


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_keeps_the_identities_of_an_operator(name: str) -> None:
    layout = Layout(factors=LAYOUTS[name])
    errors = 0.01 + torch.rand(len(layout.factors), 8, 8, generator=torch.Generator().manual_seed(1))
    rows, columns = layout.unit
    check_operator(JpegCompression(layout=layout, deviations=errors), (3, rows, 2 * columns))


def test_whitening_keeps_what_each_measurement_knows() -> None:
    generator = torch.Generator().manual_seed(3)
    matrix = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    deviations = torch.tensor([0.1, 0.5, 2.0, 1.0], dtype=torch.float64)
    found = whitened(matrix, deviations)
    A = found.basis * found.s @ found.basis.mT
    precision = matrix.mT @ torch.diag(deviations**-2) @ matrix
    torch.testing.assert_close(A.mT @ A / found.sigma**2, precision)
    assert float(found.s.max()) == 1


def test_a_measurement_without_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        whitened(torch.eye(2), torch.tensor([1.0, 0.0]))


def test_the_matrix_of_a_unit_is_averaging_and_cosines() -> None:
    layout = Layout(factors=LAYOUTS["4:2:0"])
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    luma, *_ = layout.planes(x)
    torch.testing.assert_close(luma[0], 0.299 * x[0, 0] + 0.587 * x[0, 1] + 0.114 * x[0, 2])
    amounts = layout.matrix() @ x.flatten()
    torch.testing.assert_close(amounts[:256], transformed(luma).flatten())
    torch.testing.assert_close(amounts.square().sum(), sum(plane.square().sum() for plane in layout.planes(x)))


def test_blocks_and_planes_are_inverse() -> None:
    plane = torch.arange(16.0 * 24).view(16, 24)
    torch.testing.assert_close(plane_of(blocks_of(plane)), plane)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_the_start_is_the_decoded_file(subsampling: int) -> None:
    image = photo(45, 50)
    file = file_of(image, 60, subsampling)
    found = read_jpeg(file)
    assert found is not None
    A = JpegCompression.of(found)
    start = A.framed(A.start(A.observation(found)[None]))[0]
    decoded = pixels_of(Image.open(io.BytesIO(file)))
    assert float((start - decoded).abs().mean()) < 1.5 / 127.5  # rounding to 8 bits


def test_deviations_are_near_the_real_errors() -> None:
    image = photo(160, 160)
    found = read_jpeg(file_of(image, 30))
    assert found is not None
    A = JpegCompression.of(found)
    real = [
        (transformed(own - plane[0]).square().mean((0, 1))).sqrt()
        for own, plane in zip(found.planes(), A.layout.planes(pixels_of(image)[None]), strict=True)
    ]
    ratio = A.deviations[0] / real[0]
    assert 0.6 < float(ratio.median()) < 1.6


@pytest.mark.parametrize("quality", [10, 30, 60])
@pytest.mark.parametrize("sides", [(64, 64), (45, 50)])
def test_an_image_brought_near_its_file_gives_the_file_again(quality: int, sides: tuple[int, int]) -> None:
    found = read_jpeg(file_of(photo(*sides), quality))
    assert found is not None
    A = JpegCompression.of(found)
    y = A.observation(found)[None]
    grain = 0.1 * torch.randn(y.shape, generator=torch.Generator().manual_seed(6))
    near = A.framed(A.nearest(A.start(y) + grain, y))[0]
    assert float(near.abs().max()) <= 1
    bytes_again = near.add(1).mul(127.5).round().byte().permute(1, 2, 0).numpy()
    again = read_jpeg(file_of(Image.fromarray(bytes_again), quality))
    assert again is not None
    same = [float((a == b).double().mean()) for a, b in zip(found.values, again.values, strict=True)]
    assert min(same) > (0.995 if sides == (64, 64) else 0.95)  # samples beyond the image are not in the file's pixels


def test_a_restored_jpeg_is_nearer_to_its_original() -> None:
    image = Image.fromarray(data.astronaut()[40:104, 190:254])
    found = read_jpeg(file_of(image, 20))
    assert found is not None
    A = JpegCompression.of(found)
    y, original = A.observation(found)[None], pixels_of(image)[None].float()
    restored = deqir.Restorer(deqir.load_prior("bundled"), eta=1.0, kappa=(0.9, 0.9))(y, A, sigma_y=A.sigma)
    assert restored.stats[0].nfe == 5
    assert float(psnr(restored.images, original)) > float(psnr(restored.start, original)) + 0.3
    torch.testing.assert_close(A.nearest(restored.images, y), restored.images, atol=0.02, rtol=0)


def test_noise_below_the_compression_counts_and_leaves_no_cells() -> None:
    found = read_jpeg(file_of(photo(32, 32), 60))
    assert found is not None
    plain, noisy = JpegCompression.of(found), JpegCompression.of(found, noise=0.1)
    torch.testing.assert_close(noisy.deviations.square(), plain.deviations.square() + 0.01)
    assert noisy.steps is None


def test_sides_that_are_no_whole_units_are_refused_with_the_remedy() -> None:
    A = JpegCompression(layout=Layout(factors=LAYOUTS["4:2:0"]), deviations=torch.ones(3, 8, 8))
    with pytest.raises(ValueError, match="observation"):
        A.pinv(torch.zeros(1, 3, 24, 16))
