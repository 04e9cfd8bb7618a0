"""A contact sheet of restorations: python -m benchmarks.sheet SHEET.png --prior ffdnet --prior .training/mine

A row for each of some tasks and photographs: the original, what was left of it, where the chain starts, and each
prior's restoration with default settings.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from deqir import Restorer, load_prior
from deqir.metrics import psnr
from deqir.models import fetch_model
from deqir.priors import FETCHABLE

from .quality import TASKS, observe
from .test_set import middle_square, photograph_paths

ROWS: Final = (
    ("sr4", "astronaut"),
    ("sr8", "butterfly"),
    ("text", "coffee"),
    ("random70", "chelsea"),
    ("stripes", "china"),
    ("hole", "flower"),
    ("colorize", "fruits"),
)
CAPTION: Final = 18


def main() -> None:
    """Restore and paste."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheet", type=Path, help="picture to write")
    parser.add_argument("--prior", action="append", required=True, help="a prior's name or folder (again: each)")
    parser.add_argument("--start-noise", type=float, help="of every chain; default: the operator's")
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.prior:
        if name in FETCHABLE:
            fetch_model(name)
    priors = [load_prior(name, device="cpu") for name in options.prior]
    paths, size = photograph_paths(), options.size
    high = size + CAPTION
    sheet = Image.new("RGB", ((3 + len(priors)) * size, len(ROWS) * high), "white")
    for row, (task, name) in enumerate(ROWS):
        x, A = middle_square(paths[name], size), TASKS[task](size)
        y = observe(A, x)
        pictures = [(f"{task}: {name}", x), ("given", A.pinv(y)), ("start", A.start(y))]
        for prior in priors:
            pictures.append((prior.name, Restorer(prior, start_noise=options.start_noise)(y, A).images))
        for column, (caption, image) in enumerate(pictures):
            figure = "" if column < 2 else f", {float(psnr(image.clamp(-1, 1), x)):.2f} dB"
            _paste(sheet, image, caption + figure, left=column * size, top=row * high)
    options.sheet.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.sheet, quality=88, optimize=True)


def _paste(sheet: Image.Image, image: Tensor, caption: str, *, left: int, top: int) -> None:
    font = ImageFont.load_default(12)
    ImageDraw.Draw(sheet).text((left + 4, top + 2), caption, fill="black", font=font)
    pixels = ((image[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0)
    sheet.paste(Image.fromarray(pixels.numpy()), (left, top + CAPTION))


if __name__ == "__main__":
    main()
