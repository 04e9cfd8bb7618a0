"""Archives of JPEGs: each file tells its own operator."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

from pipeline.images.jpeg_file import read_jpeg
from tests.pipeline.archive import image_bytes, put
from tests.pipeline.shard_runs import run

JPEG: dict[str, Any] = {"task": "jpeg"}
SIZE = (70, 85)


def photo() -> Image.Image:
    return Image.fromarray(data.astronaut()[40 : 40 + SIZE[0], 190 : 190 + SIZE[1]])


def jpeg(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def test_a_result_agrees_with_its_file(source, destination, opened) -> None:
    given = jpeg(photo(), quality=30)
    put(source, "a.jpg", given)
    _, worker, shards = opened(degradation=JPEG)
    (row,) = run(worker, shards[0])
    assert (row.status, row.height, row.width) == ("restored", *SIZE)
    written = (destination / "a.png").read_bytes()
    again, found = read_jpeg(jpeg(Image.open(io.BytesIO(written)), quality=30)), read_jpeg(given)
    assert again is not None
    assert found is not None
    same = [float((a == b)[:4, :5].double().mean()) for a, b in zip(again.values, found.values, strict=True)]
    assert min(same) > 0.995


def test_a_turned_grey_jpeg_is_restored_upright_and_grey(source, destination, opened) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    put(source, "a.jpg", jpeg(photo().convert("L"), quality=40, exif=exif))
    _, worker, shards = opened(degradation=JPEG)
    (row,) = run(worker, shards[0])
    assert (row.status, row.height, row.width) == ("restored", SIZE[1], SIZE[0])
    with Image.open(destination / "a.png") as image:
        upright = np.asarray(photo().convert("L").transpose(Image.Transpose.ROTATE_270), dtype=float)
        assert image.mode == "L"
        assert np.abs(np.asarray(image, dtype=float) - upright).mean() < 10


def test_files_that_tell_no_compression_are_said_to(source, opened) -> None:
    put(source, "a.png", image_bytes(3))
    put(source, "b.jpg", jpeg(photo(), quality=99))
    _, worker, shards = opened(degradation=JPEG)
    messages = {row.source_key: str(row.decisions) for shard in shards for row in run(worker, shard)}
    assert "no JPEG" in messages["a.png"]
    assert "finest quality" in messages["b.jpg"]
