"""A package like npm's with two pictures in it, so that the recipe runs without a network."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from training.packages import Package

NAMES = ("a.png", "v.png", "again.png")
"""One for training, one that the split holds back, and the first once more, a little brighter."""
WIDTH, HEIGHT = 512, 400


def picture(seed: int, *, brighter: int = 0) -> Image.Image:
    """A picture of soft patches."""
    random = np.random.default_rng(seed)
    rough = Image.fromarray(random.integers(0, 200, (12, 15, 3), dtype=np.uint8))
    smooth = np.asarray(rough.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    return Image.fromarray(np.minimum(smooth.astype(np.int16) + brighter, 255).astype(np.uint8))


def package(folder: Path, *, lossy: bool = True) -> tuple[Package, Path]:
    """Write an archive into `folder`/downloads and a list of its pictures; returns both."""
    downloads = folder / "downloads"
    downloads.mkdir(parents=True)
    archive, listed = downloads / "tiny-1.0.tgz", folder / "photographs.tsv"
    with tarfile.open(archive, "w:gz") as tar:
        for name, image in zip(NAMES, (picture(1), picture(2), picture(1, brighter=9)), strict=True):
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            entry = tarfile.TarInfo(f"package/img/{name}")
            entry.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(entry, buffer)
    rows = ["package\tfile\twidth\theight\tlicence", *(f"npm:tiny\t{name}\t{WIDTH}\t{HEIGHT}\tMIT" for name in NAMES)]
    listed.write_text("\n".join(rows) + "\n", encoding="utf-8")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    return Package(name="npm:tiny", version="1.0", sha256=digest, folder="package/img", lossy=lossy), listed
