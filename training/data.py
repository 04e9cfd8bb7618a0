"""Prepare the training photographs (python -m training.data DIR), and draw crops from them."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .packages import LIST, PACKAGES, SMOKE, DataError, Package, Photograph, photographs, read, unpack

log = logging.getLogger(__name__)

Split = Literal["train", "validation"]
SCALES: Final = (1.0, 0.7, 0.5, 0.35, 0.25)
SMALLEST: Final = 192
"""Shortest side of a kept scale, in pixels."""
VALIDATION: Final = 14
"""One photograph in this many is for validation, chosen by a hash of its name."""
ALIKE: Final = 6
"""Most differing bits of the 64-bit fingerprints of the same picture."""

PIXELS, INDEX = "pixels.bin", "index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A photograph at a scale: the place of its height x width x 3 bytes in pixels.bin."""

    photograph: str
    split: Split
    scale: float
    offset: int
    height: int
    width: int


def split_of(name: str) -> Split:
    """Return a photograph's side of the split; it depends only on the name."""
    digest = hashlib.sha256(name.encode()).digest()
    return "train" if int.from_bytes(digest[:4], "big") % VALIDATION else "validation"


def fingerprint(image: Image.Image) -> int:
    """Return 64 bits, set where the picture grows brighter from left to right."""
    small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.LANCZOS), dtype=np.int16)
    bits = (small[:, 1:] > small[:, :-1]).flatten()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def scales_of(image: Image.Image) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yield the picture at each scale with long enough sides."""
    for scale in SCALES:
        size = (round(image.width * scale), round(image.height * scale))
        if scale == 1 or min(size) >= SMALLEST:
            yield scale, np.asarray(image.resize(size, Image.Resampling.LANCZOS) if scale < 1 else image)


def prepare(
    folder: Path, packages: Sequence[Package], *, downloads: Path | None = None, listed: Path = LIST
) -> list[Picture]:
    """Fetch the packages and write pixels.bin and index.json, unless they are there.

    Raises:
        DataError: A package, or a photograph in it, differs from the pinned one.
    """
    if (folder / INDEX).exists():
        return [Picture(**row) for row in json.loads((folder / INDEX).read_text(encoding="utf-8"))]
    folder.mkdir(parents=True, exist_ok=True)
    pictures, seen = list[Picture](), dict[int, str]()
    with (folder / PIXELS).open("wb") as file:
        for package in packages:
            place = unpack(package, downloads or folder / "downloads")
            for photograph in photographs([package], listed=listed):
                image = _decode(photograph, place)
                mark = fingerprint(image)
                double = next((name for other, name in seen.items() if (mark ^ other).bit_count() <= ALIKE), None)
                if double is not None:
                    log.info("%s looks like %s and is left out", photograph.name, double)
                    continue
                seen[mark] = photograph.name
                if package.lossy:
                    image = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
                pictures += _append(image, photograph.name, file)
    text = json.dumps([asdict(picture) for picture in pictures], indent=1)
    (folder / INDEX).write_text(text + "\n", encoding="utf-8")
    return pictures


def _append(image: Image.Image, name: str, file: BinaryIO) -> Iterator[Picture]:
    """Write a photograph at each of its scales, and yield its pictures."""
    for scale, pixels in scales_of(image):
        height, width = pixels.shape[:2]
        yield Picture(
            photograph=name, split=split_of(name), scale=scale, offset=file.tell(), height=height, width=width
        )
        file.write(pixels.tobytes())


def _decode(photograph: Photograph, folder: Path) -> Image.Image:
    for data in read(photograph, folder):
        image = Image.open(io.BytesIO(data))
        if image.size == (photograph.width, photograph.height):
            return image.convert("RGB")
    raise DataError(f"{folder} holds no {photograph.file} of {photograph.width} x {photograph.height} pixels")


class Crops:
    """Draws random crops of one split: pictures by their area, then a place, flips and quarter turns.

    Args:
        folder: Folder written by `prepare`.
        split: "train" or "validation".
        seed: Seed of the draws.
        turns: Crops are also turned by quarters; else they are only mirrored, or unchanged.
        device: Device of the crops.
    """

    def __init__(
        self,
        folder: Path,
        split: Split,
        *,
        seed: int,
        turns: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        self.turns, self.device = turns, torch.device(device)
        rows = [Picture(**row) for row in json.loads((folder / INDEX).read_text(encoding="utf-8"))]
        self.pictures = [picture for picture in rows if picture.split == split]
        if not self.pictures:
            raise DataError(f"{folder} holds no {split} photograph; prepare more packages")
        self._pixels = np.memmap(folder / PIXELS, dtype=np.uint8, mode="r")
        self._random = np.random.default_rng(seed)

    def __call__(self, count: int, size: int) -> Tensor:
        """Return (count, 3, size, size) in [0, 1]."""
        return as_shares(self.pixels(count, size).to(self.device))

    def pixels(self, count: int, size: int) -> Tensor:
        """Return (count, 3, size, size) as bytes on the CPU, for any device."""
        fitting = [picture for picture in self.pictures if min(picture.height, picture.width) >= size]
        if not fitting:
            raise DataError(f"no photograph is {size} pixels high and wide; choose smaller crops")
        # The root of the area: the scales of a photograph share its crops more evenly.
        area = np.array([float(picture.height * picture.width) for picture in fitting]) ** 0.5
        chosen = self._random.choice(len(fitting), size=count, p=area / area.sum())
        return torch.stack([self._crop(fitting[i], size) for i in chosen])

    def centres(self, size: int) -> Tensor:
        """Return the middle of each photograph, at the largest scale with sides of at most four times `size`."""
        best = dict[str, Picture]()
        for picture in sorted(self.pictures, key=lambda picture: (picture.photograph, picture.scale)):
            side = min(picture.height, picture.width)
            if side >= size and (side <= 4 * size or picture.photograph not in best):
                best[picture.photograph] = picture
        crops = list[Tensor]()
        for picture in best.values():
            top, left = (picture.height - size) // 2, (picture.width - size) // 2
            crops.append(_planes(self._array(picture)[top : top + size, left : left + size]))
        return as_shares(torch.stack(crops))

    def _array(self, picture: Picture) -> NDArray[np.uint8]:
        count = picture.height * picture.width * 3
        flat = self._pixels[picture.offset : picture.offset + count]
        return np.asarray(flat).reshape(picture.height, picture.width, 3)

    def _crop(self, picture: Picture, size: int) -> Tensor:
        top = int(self._random.integers(picture.height - size + 1))
        left = int(self._random.integers(picture.width - size + 1))
        crop = self._array(picture)[top : top + size, left : left + size]
        crop = np.rot90(crop, int(self._random.integers(4))) if self.turns else crop
        return _planes(crop[:, ::-1] if self._random.integers(2) else crop)


def as_shares(pixels: Tensor) -> Tensor:
    """Return bytes as numbers in [0, 1], on the same device."""
    return pixels.float() / 255


def _planes(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.data", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the prepared photographs go")
    parser.add_argument("--downloads", type=Path, help="where the packages are kept; default: FOLDER/downloads")
    parser.add_argument("--smoke", action="store_true", help="two small packages only")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pictures = prepare(options.folder, SMOKE if options.smoke else PACKAGES, downloads=options.downloads)
    names = {picture.photograph: picture.split for picture in pictures}
    held = sum(split == "validation" for split in names.values())
    log.info("%d photographs, %d of them for validation, %d pictures", len(names), held, len(pictures))


if __name__ == "__main__":
    main()
