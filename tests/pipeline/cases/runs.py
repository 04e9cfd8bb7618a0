"""Archives restored through a job with the bundled prior, and the written files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from pipeline.config import RestoreJob
from pipeline.manifest.schema import ManifestRow
from tests.pipeline.archive import put
from tests.pipeline.jobs import run_job
from tests.pipeline.rows import read_manifest

from .archives import levels

DELIVERED: Final = ("restored", "unchanged")


@dataclass(frozen=True, kw_only=True)
class End:
    """The end of an image: its row, its source's bytes and its output's, None if nothing was delivered."""

    row: ManifestRow
    source: bytes
    output: bytes | None

    @property
    def delivered(self) -> bool:
        return self.row.status in DELIVERED

    @property
    def given(self) -> np.ndarray:
        return levels(decoded(self.source))

    @property
    def written(self) -> np.ndarray:
        assert self.output is not None
        return levels(decoded(self.output))


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    return image.convert("L") if image.mode == "1" else image


def restore(
    folder: Path, archive: Mapping[str, bytes], result: dict[str, Any] | None = None, **degradation: Any
) -> dict[str, End]:
    """Restore an archive and return the end of each image by its key."""
    for key, data in archive.items():
        put(folder / "source", key, data)
    job = run_job(
        RestoreJob.model_validate(
            {
                "source": str(folder / "source"),
                "destination": str(folder / "restored"),
                "result": {"degradation": degradation, "prior": "bundled", **(result or {})},
                "runtime": {"executor": "local", "device": "cpu"},
            }
        )
    )
    rows = {row.source_key: row for row in read_manifest(job.config.destination, job.id)}
    return {
        key: End(row=rows[key], source=data, output=_output(folder / "restored", rows[key]))
        for key, data in archive.items()
    }


def _output(folder: Path, row: ManifestRow) -> bytes | None:
    path = folder / (row.output_key or "?")
    return path.read_bytes() if path.exists() else None


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(a - b).mean(), 1e-9)))


def blocks(pixels: np.ndarray, scale: int) -> np.ndarray:
    """The mean of each block of pixels."""
    height, width = pixels.shape[0] // scale, pixels.shape[1] // scale
    return pixels.reshape(height, scale, width, scale, *pixels.shape[2:]).mean((1, 3))
