"""A package like npm's with two pictures in it, so that the recipes run without a network."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageOps

from training.data import prepare
from training.packages import Package
from training.starting import Run

NAMES = ("a.png", "v.png", "again.png")
"""One for training, one that the split holds back, and the first once more, a little brighter."""
WIDTH, HEIGHT = 512, 400
PICTURE = Path(skimage.__file__).parent / "data" / "astronaut.png"


def picture(seed: int, *, brighter: int = 0) -> Image.Image:
    """A picture of soft patches."""
    random = np.random.default_rng(seed)
    rough = Image.fromarray(random.integers(0, 200, (12, 15, 3), dtype=np.uint8))
    smooth = np.asarray(rough.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    return Image.fromarray(np.minimum(smooth.astype(np.int16) + brighter, 255).astype(np.uint8))


def package(
    folder: Path, *, lossy: bool = True, dark_and_bright: tuple[str, str] | None = None
) -> tuple[Package, Path]:
    """Write an archive into `folder`/downloads and a list of its pictures; returns both.

    Args:
        folder: For both.
        lossy: Recipes halve the pictures.
        dark_and_bright: The two colours that all others lie between; None: any colours.
    """
    downloads = folder / "downloads"
    downloads.mkdir(parents=True)
    archive, listed = downloads / "tiny-1.0.tgz", folder / "photographs.tsv"
    with tarfile.open(archive, "w:gz") as tar:
        for name, image in zip(NAMES, (picture(1), picture(2), picture(1, brighter=9)), strict=True):
            buffer = io.BytesIO()
            if dark_and_bright is not None:
                image = ImageOps.colorize(image.convert("L"), *dark_and_bright)
            image.save(buffer, "PNG")
            entry = tarfile.TarInfo(f"package/img/{name}")
            entry.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(entry, buffer)
    rows = ["package\tfile\twidth\theight\tlicence", *(f"npm:tiny\t{name}\t{WIDTH}\t{HEIGHT}\tMIT" for name in NAMES)]
    listed.write_text("\n".join(rows) + "\n", encoding="utf-8")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    return Package(name="npm:tiny", version="1.0", sha256=digest, folder="package/img", lossy=lossy), listed


def prepared(folder: Path, *, lossy: bool = True, dark_and_bright: tuple[str, str] | None = None) -> Path:
    """Return a folder with the photographs of such a package, one on each side of the split."""
    tiny, listed = package(folder, lossy=lossy, dark_and_bright=dark_and_bright)
    prepare(folder / "data", [tiny], downloads=folder / "downloads", listed=listed)
    return folder / "data"


def learn(run: Run, steps: int) -> None:
    """Have a run take so many steps, however long they take here."""
    batches = run.batches()
    run.lesson.begin(run.progress.network, run.crops, run.recipe)
    for step in range(steps):
        run._one_step(next(batches), step / steps)
