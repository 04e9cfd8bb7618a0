"""Ways to restore a case: the product's jobs on folders of files, and Real-ESRGAN by itself."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo
from pydantic import ValidationError
from torch.nn import functional

from deqir.models import REAL_ESRGAN
from deqir.pretrained.download import cache_dir
from deqir.pretrained.real_esrgan import RealEsrgan
from deqir.pretrained.rrdb import SCALE
from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError
from pipeline.fault_text import in_words
from pipeline.job.job import open_job, plan_job, run_shards
from pipeline.keys import Layout
from pipeline.manifest.schema import read_columns
from pipeline.status import DELIVERED, Status
from pipeline.store import Store, open_store

from .archive.case import Case, Told
from .archive.pictures import Pixels
from .archive.steps import image_of

GIVEN, TOLD, AUTO, GUIDED = "given", "told", "auto", "guided"
WAYS: Final = (GIVEN, TOLD, AUTO, GUIDED, REAL_ESRGAN)
MOST_BYTES: Final = 2**28
NOT_DELIVERED: Final = (Status.UNCHANGED, Status.SET_ASIDE, Status.FAILED, Status.CONFLICT)
"""Statuses of images that stay as they were given."""
COLUMNS: Final = ("source_key", "status", "output_key", "nfe", "solve_seconds", "error", "doubts", "decisions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The image that somebody has after a way of restoring.

    Attributes:
        pixels: At the size of the original. The given image, enlarged if asked for, where nothing was delivered.
        status: Of the row of the manifest; "given" or "enlarged" without a job.
        aside: The image that was set aside; None otherwise.
        note: Error, doubts and decisions of the row.
    """

    pixels: Pixels
    status: str
    nfe: int = 0
    seconds: float = 0.0
    aside: Pixels | None = None
    note: str = ""


class MissingTaskError(RuntimeError):
    """The product does not know this task or option."""


def given(case: Case) -> Outcome:
    """Return the given image; if a larger one is asked for, by bicubic interpolation."""
    image: Image.Image = Image.open(io.BytesIO(case.file))
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    if case.scale > 1:
        image = image.resize(case.original.shape[1::-1], Image.Resampling.BICUBIC)
    return Outcome(pixels=np.asarray(image, dtype=np.float64), status=GIVEN)


def enlarged(case: Case, load: Callable[[], RealEsrgan]) -> Outcome:
    """Return Real-ESRGAN's image, averaged down to the original's size, in 8 bits.

    The image and its seconds are kept in the user's cache: they depend on the file alone.
    """
    kept = cache_dir() / "benchmarks" / REAL_ESRGAN / f"{hashlib.sha256(case.file).hexdigest()}-{case.scale}.png"
    if not kept.exists():
        began = time.perf_counter()
        y = torch.from_numpy(np.asarray(Image.open(io.BytesIO(case.file)).convert("RGB"), dtype=np.float32))
        y = y.permute(2, 0, 1)[None] / 127.5 - 1
        image = load().enlarged(y, (y.shape[2] * SCALE, y.shape[3] * SCALE))
        image = functional.avg_pool2d(image, SCALE // case.scale)[0].permute(1, 2, 0) * 127.5 + 127.5
        text = PngInfo()
        text.add_text("seconds", f"{time.perf_counter() - began:.2f}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        image_of(image.double().numpy()).save(kept, pnginfo=text)
    with PngImageFile(kept) as file:
        pixels, seconds = np.asarray(file, dtype=np.float64), float(file.text["seconds"])
    return Outcome(pixels=pixels, status="enlarged", nfe=1, seconds=seconds)


def restored(cases: Sequence[Case], told: Told, folder: Path, **result: Any) -> Mapping[str, Outcome]:
    """Restore cases as one job and return the outcome of each by its name.

    Args:
        cases: Their files make the archive.
        told: The settings.
        folder: An empty folder for the archive, the restored images and the manifest.
        result: Further settings of the result.

    Raises:
        MissingTaskError: The product does not know a setting.
    """
    source = folder / "source"
    source.mkdir(parents=True)
    for case in cases:
        (source / case.key).write_bytes(case.file)
    settings = dict(told.settings)
    if told.drawn is not None:
        field, draw = told.drawn
        draw().save(folder / "told.png")
        settings[field] = str(folder / "told.png")
    noise = {} if told.noise is None else {"noise": told.noise}
    record = {
        "source": str(source),
        "destination": str(folder / "restored"),
        "result": {"degradation": settings, **noise, **result},
        "runtime": {"executor": "local", "device": "cpu"},
    }
    try:
        job = open_job(RestoreJob.model_validate(record))
    except (ValidationError, ConfigurationError) as error:
        raise MissingTaskError(in_words(error) if isinstance(error, ValidationError) else str(error)) from error
    with closing(run_shards(job, plan_job(job).pending, on_progress=lambda progress: None)) as reports:
        for _ in reports:
            pass
    store = open_store(str(folder / "restored"), writable=False)
    rows = {row[0]: row[1:] for row in read_columns(store, job.layout, COLUMNS)}
    return {case.name: _outcome(case, store, job.layout, *rows[case.key]) for case in cases}


def _outcome(
    case: Case,
    store: Store,
    layout: Layout,
    status: str,
    key: str | None,
    nfe: int | None,
    seconds: float | None,
    error: str | None,
    doubts: list[str] | None,
    decisions: list[str] | None,
) -> Outcome:
    aside = _read(case, store, layout.aside(key)) if status == Status.SET_ASIDE and key is not None else None
    delivered = _read(case, store, key) if status in DELIVERED and key is not None else None
    return Outcome(
        pixels=given(case).pixels if delivered is None else delivered,
        status=status,
        nfe=nfe or 0,
        seconds=seconds or 0.0,
        aside=aside,
        note="; ".join([*filter(None, [error]), *(doubts or []), *(decisions or [])]),
    )


def _read(case: Case, store: Store, key: str) -> Pixels | None:
    """Return the pixels of an object; None if the given size was kept though a larger one was asked for."""
    image: Image.Image = Image.open(io.BytesIO(store.get(key, limit=MOST_BYTES).data))
    pixels = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"), dtype=np.float64)
    return pixels if pixels.shape[:2] == case.original.shape[:2] else None
