"""A job that undoes what was not done to some of its images says so in their rows and in its summary."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter
from skimage import data

from flows.display.summary import facts
from pipeline.reporting.summary import summary_of
from pipeline.reporting.sums import sums_of
from tests.pipeline.archive import image_bytes, put
from tests.pipeline.shard_runs import run


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_blurred_images_among_small_ones_are_suspected_and_counted(source, destination, opened) -> None:
    astronaut = data.astronaut()
    small = Image.fromarray(np.rint(astronaut.reshape(128, 4, 128, 4, 3).mean((1, 3))).astype(np.uint8))
    blurred = Image.fromarray(astronaut[:160, 150:310]).filter(ImageFilter.GaussianBlur(2))
    put(source, "small.png", png(small))
    put(source, "blurred.png", png(blurred))
    put(source, "tiny.png", image_bytes(1))
    _, worker, shards = opened(result={"steps": 1})
    rows = {row.source_key: row for row in run(worker, shards[0])}
    assert {row.status for row in rows.values()} == {"restored"}
    assert {key: row.operator_suspect for key, row in rows.items()} == {
        "small.png": False,
        "blurred.png": True,
        "tiny.png": None,
    }
    right, wrong = rows["small.png"].misfit, rows["blurred.png"].misfit
    assert right is not None
    assert wrong is not None
    assert right < 1 < wrong
    assert rows["tiny.png"].misfit is None
    summary = summary_of("0123456789abcdef", str(destination), [sums_of(list(rows.values()))])
    assert summary.suspects == 1
    assert ("doubtful operator", "1 (operator_suspect in the manifest)") in facts(summary)
