"""Coefficients read from files, against the encoder's own and against turned images."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from deqir.operators.jpeg.coefficients import JpegCoefficients
from deqir.operators.jpeg.layout import Layout, transformed
from deqir.operators.jpeg.reading import coefficients_of
from pipeline.images.jpeg_file import read_jpeg, turned


def planes(coefficients: JpegCoefficients) -> torch.Tensor:
    return coefficients.planes()[0]


def drawn(layout: Layout, rows: int, columns: int) -> JpegCoefficients:
    """Return random coefficients of few levels, whose samples stay inside 0 to 255."""
    generator = torch.Generator().manual_seed(8)
    steps = torch.full((len(layout.factors), 8, 8), 6.0)
    values = tuple(
        torch.randint(-2, 3, (rows * v, columns * h, 8, 8), generator=generator, dtype=torch.int32)
        for v, h in layout.blocks
    )
    height, width = layout.unit
    return JpegCoefficients(layout=layout, steps=steps, values=values, height=rows * height, width=columns * width)


def test_planes_rounded_to_8_bits_give_their_coefficients_back() -> None:
    known = drawn(Layout(factors=((1, 1),) * 3), 3, 4)
    levels = torch.stack([plane * 127.5 for plane in known.planes()])
    levels[0] += 127.5
    levels[1:] += 128
    found = coefficients_of(levels.round().clamp(0, 255), known.steps, known.layout)
    for one, other in zip(found.values, known.values, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_file_compressed_again_from_its_pixels_keeps_its_coefficients(subsampling: int) -> None:
    down, across = np.mgrid[:64, :96]
    waves = [128 + 50 * np.sin(down / (4 + n) + across / 11) for n in range(3)]
    image = Image.fromarray(np.stack(waves, -1).round().astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=50, subsampling=subsampling)
    found = read_jpeg(buffer.getvalue())
    assert found is not None
    luma = torch.from_numpy(np.array(image.convert("YCbCr"))[..., 0].astype(np.float64)) - 128
    told = (transformed(luma) / found.steps[0]).round().int()
    assert float((told == found.values[0]).double().mean()) > 0.99


@pytest.mark.parametrize("orientation", range(1, 9))
def test_coefficients_turn_as_pixels_do(orientation: int) -> None:
    known = drawn(Layout(factors=((2, 1), (1, 1), (1, 1))), 2, 3)
    plane = planes(known)
    array = plane.numpy()
    upright = {
        1: array,
        2: array[:, ::-1],
        3: array[::-1, ::-1],
        4: array[::-1],
        5: array.T,
        6: np.rot90(array, -1),
        7: array[::-1, ::-1].T,
        8: np.rot90(array),
    }[orientation]
    torch.testing.assert_close(planes(turned(known, orientation)), torch.from_numpy(upright.copy()))


@pytest.mark.parametrize("mode", ["CMYK", "PNG"])
def test_other_files_have_no_coefficients(mode: str) -> None:
    buffer = io.BytesIO()
    image = Image.new("CMYK" if mode == "CMYK" else "RGB", (16, 16))
    image.save(buffer, "PNG" if mode == "PNG" else "JPEG")
    assert read_jpeg(buffer.getvalue()) is None


def test_a_grey_file_has_one_component() -> None:
    buffer = io.BytesIO()
    Image.new("L", (20, 9), 77).save(buffer, "JPEG", quality=40)
    found = read_jpeg(buffer.getvalue())
    assert found is not None
    assert (len(found.values), found.height, found.width, found.sides) == (1, 9, 20, (16, 24))
