"""What is printed of images that failed names the options with which they would not."""

from __future__ import annotations

import struct
from pathlib import Path

import pyarrow.dataset

from tests.flows.conftest import quick
from tests.pipeline.archive import image_bytes, put
from tests.pipeline.files import chunk, png

LINEAR = chunk(b"gAMA", struct.pack(">I", 100_000))


def test_messages_of_failed_images_name_options_and_their_rows_fields(tmp_path, tiny_prior, deqir) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    put(source, "good.png", image_bytes(1))
    put(source, "large.png", image_bytes(2, size=(40, 36)))
    put(source, "long.png", image_bytes(3, size=(40, 20)))
    put(source, "linear.png", png([bytes(range(16))] * 16, width=16, bits=8, colour_type=0, before=LINEAR))
    done = deqir("restore", source, destination, *quick(tiny_prior), "--format", "jpeg", "--max-pixels", "1024")
    assert done.returncode == 3
    for told in (done.stdout, deqir("status", destination, "--job", *_job(destination)).stdout):
        lines = {line.split(":")[0]: line for line in told.splitlines() if line.split(":")[0].endswith(".png")}
        assert "the image has 40 x 36 pixels, but --max-pixels is 1024; raise it" in lines["large.png"]
        assert "would have 80 x 40 pixels, but --max-pixels is 1024; raise it" in lines["long.png"]
        assert lines["linear.png"].endswith("choose --format png")
        assert "`" not in "".join(lines.values())
    rows = pyarrow.dataset.dataset(next(destination.glob(".deqir/*/manifest"))).to_table().to_pylist()
    errors = {row["source_key"]: row["error"] for row in rows if row["status"] == "failed"}
    assert "`max_pixels` is 1024" in errors["large.png"]
    assert "choose `output_format` png" in errors["linear.png"]


def _job(destination: Path) -> list[str]:
    return [path.parent.name for path in destination.glob(".deqir/*/job.json")]
