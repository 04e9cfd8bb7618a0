"""A small archive on disk and a job on it, for the tests of worker, executors and job."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.config import RestoreJob


def image_bytes(
    seed: int, *, size: tuple[int, int] = (16, 16), mode: str = "RGB", kind: str = "PNG", quality: int = 75
) -> bytes:
    """A picture of smooth shapes that differs with the seed; `size` is (width, height)."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width] / 8
    channels = [np.sin(x * (1 + seed % 3) + c) + np.cos(y * (1 + seed % 5) + seed + c) for c in range(3)]
    pixels = np.clip(np.stack(channels, -1) * 50 + 128, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGB").convert(mode).save(buffer, format=kind, quality=quality)
    return buffer.getvalue()


def write_archive(folder: Path, count: int, **image: Any) -> list[str]:
    """Write `count` pictures into `folder`; returns their keys."""
    keys = [f"album/{index:02d}.png" for index in range(count)]
    for index, key in enumerate(keys):
        put(folder, key, image_bytes(index, **image))
    return keys


def put(folder: Path, key: str, data: bytes) -> None:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def restore_job(
    source: Path,
    destination: Path,
    prior: str,
    *,
    degradation: dict[str, Any] | None = None,
    result: dict[str, Any] | None = None,
    runtime: dict[str, Any] | None = None,
    reference: Path | None = None,
) -> RestoreJob:
    """A job of a few steps on the CPU, in this process unless told otherwise.

    It delivers doubtful images: these pictures are no photographs, and many a restoration of them is doubted.
    """
    return RestoreJob.model_validate(
        {
            "source": str(source),
            "destination": str(destination),
            "reference": str(reference) if reference else None,
            "result": {
                "degradation": degradation or {"task": "sr", "scale": 2},
                "prior": prior,
                "steps": 3,
                **(result or {}),
            },
            "runtime": {"executor": "local", "device": "cpu", "shard_size": 4, "on_doubt": "write", **(runtime or {})},
        }
    )


def pixels(path: Path) -> np.ndarray:
    """An image file's 8-bit values, as integers that can be subtracted."""
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Inode, modification time and content of every file: equal snapshots mean that nothing was written."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_kept(before: dict[str, tuple[int, int, bytes]], folder: Path) -> None:
    """Check that every file of an earlier snapshot is as it was."""
    after = snapshot(folder)
    assert {path: after[path] for path in before} == before
