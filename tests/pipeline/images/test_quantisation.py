"""The luma table read from a JPEG's header is the one that the encoder wrote."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from pipeline.images.quantisation import luma_table


def file_of(kind: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((40, 24), 60).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("quality", [5, 50, 92])
def test_the_table_is_pillows(quality, progressive, mode) -> None:
    data = file_of(mode=mode, quality=quality, progressive=progressive)
    found = luma_table(data)
    assert found is not None
    assert found.flatten().tolist() == Image.open(io.BytesIO(data)).quantization[0]  # type: ignore[attr-defined]


def test_an_own_table_keeps_its_order() -> None:
    table = list(range(1, 65))
    data = file_of(qtables=[table, table])
    found = luma_table(data)
    assert found is not None
    assert found.flatten().tolist() == Image.open(io.BytesIO(data)).quantization[0]  # type: ignore[attr-defined]


def test_other_formats_torn_headers_and_turned_pictures_have_none() -> None:
    assert luma_table(file_of("PNG")) is None
    assert luma_table(b"") is None
    data = file_of()
    for length in range(2, data.index(b"\xff\xda"), 7):
        luma_table(data[:length])
    turned = Image.Exif()
    turned[0x0112] = 6
    assert luma_table(file_of(exif=turned)) is None
    turned[0x0112] = 1
    assert luma_table(file_of(exif=turned)) is not None
