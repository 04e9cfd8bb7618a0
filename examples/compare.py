"""Compare restored images and bicubic interpolation with the originals, and draw a few of them.

    python examples/compare.py DEGRADED RESTORED ORIGINALS --scale 4 --picture before-after.png

The three folders hold the same tree; degraded images may have any extension. PSNR is of the files' 8-bit values. LPIPS
is added after `deqir models fetch lpips`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from deqir.metrics import psnr
from deqir.pretrained.lpips import LPIPS_WEIGHTS, load_lpips

SHOWN = 4


def read(path: Path) -> Image.Image:
    """Return the image in RGB."""
    with Image.open(path) as image:
        return image.convert("RGB")


def values(image: Image.Image) -> Tensor:
    """Return the pixels as a batch of one image in [-1, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 127.5 - 1


def main() -> None:
    """Print the table and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("degraded", type=Path)
    parser.add_argument("restored", type=Path)
    parser.add_argument("originals", type=Path)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--picture", type=Path, default=Path("before-after.png"))
    options = parser.parse_args()

    lpips = load_lpips() if LPIPS_WEIGHTS.path.exists() else None
    measures = {"PSNR": psnr} | ({"LPIPS": lpips} if lpips else {})
    table = Table("image", *(f"{name}\n{of}" for name in measures for of in ("bicubic", "restored")))
    rows, strips = list[list[float]](), list[Image.Image]()
    for path in sorted(options.restored.rglob("*.png")):
        key = path.relative_to(options.restored)
        if not (options.originals / key).exists():
            continue
        restored, original = read(path), read(options.originals / key)
        small = read(next(options.degraded.glob(f"{key.with_suffix('')}.*")))
        size = (small.width * options.scale, small.height * options.scale)
        bicubic = small.resize(size, Image.Resampling.BICUBIC)
        row = [
            float(measure(values(image), values(original)))
            for measure in measures.values()
            for image in (bicubic, restored)
        ]
        rows.append(row)
        table.add_row(str(key.with_suffix("")), *map(shown, row))
        strips.append(side_by_side([bicubic, restored, original]))
    if not rows:
        raise SystemExit(f"no PNG in {options.restored} has the name of an image in {options.originals}")
    means = torch.tensor(rows).mean(0).tolist()
    table.add_section()
    table.add_row("mean", *map(shown, means))
    console = Console()
    console.print(table)
    stacked(strips[:: max(1, len(strips) // SHOWN)][:SHOWN]).save(options.picture)
    console.print(f"before (bicubic), after, original: {options.picture}", soft_wrap=True)


def shown(value: float) -> str:
    """Return a PSNR with two decimals, or an LPIPS, which is below 1, with three."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def side_by_side(images: list[Image.Image]) -> Image.Image:
    """Return one picture with the images side by side."""
    strip = Image.new("RGB", (sum(image.width for image in images), max(image.height for image in images)))
    left = 0
    for image in images:
        strip.paste(image, (left, 0))
        left += image.width
    return strip


def stacked(strips: list[Image.Image]) -> Image.Image:
    """Return one picture with the strips below each other."""
    sheet = Image.new("RGB", (max(strip.width for strip in strips), sum(strip.height for strip in strips)))
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


if __name__ == "__main__":
    main()
