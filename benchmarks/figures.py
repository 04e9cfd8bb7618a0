"""A picture for every task: python -m benchmarks.figures docs/tasks

Whole photographs of --size pixels a side, the network in tiles of --tile, default settings. Each picture shows the
same middle part of the given image, the start, the restored image and the original, at full resolution; the figures
below it, in figures.json and in figures.md are for the whole image. With --guide real-esrgan, for enlargements: the
network's own image, the image restored without it, and the image restored from it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from deqir import Restorer
from deqir.models import REAL_ESRGAN, fetch_model
from deqir.operators import FramedDeblurring, WalshHadamardSensing
from deqir.pretrained.lpips import load_lpips
from deqir.pretrained.real_esrgan import load_real_esrgan
from deqir.priors import BUNDLED
from deqir.protocols import LinearOperator

from .command import parser_of, prior_of
from .environment import environment
from .quality import scores
from .tasks import TASKS
from .test_set import middle_square, photograph_paths

SHOWN: Final[Mapping[str, str]] = {
    "sr2": "motorcycle_left",
    "sr4": "astronaut",
    "sr8": "butterfly",
    "bicubic4": "china",
    "sr4 noisy": "rocket",
    "gaussian 1.6": "flower",
    "gaussian 3": "butterfly",
    "motion 15": "coffee",
    "motion 15 framed": "coffee",
    "text": "chelsea",
    "random70": "fruits",
    "stripes": "china",
    "hole": "flower",
    "colorize": "fruits",
    "denoise 25": "baboon",
    "sensing 25": "coffee",
    "old photograph": "astronaut",
}
"""The photograph for the picture of each task."""
PART: Final = 256
CAPTION: Final = 20
GUIDED: Final = "from it"


def given(A: LinearOperator, y: Tensor, size: int) -> Tensor:
    """Return y as a picture of the restored image's size."""
    if isinstance(A, WalshHadamardSensing):
        return A.pinv(y)
    if isinstance(A, FramedDeblurring):
        return A.widened(y)
    return functional.interpolate(y, size=(size, size), mode="nearest").expand(-1, 3, -1, -1)


def figure(pictures: Mapping[str, Tensor], captions: Mapping[str, str]) -> Image.Image:
    """Return the middle parts side by side, each with its caption below."""
    font = ImageFont.load_default(13)
    sheet = Image.new("RGB", (len(pictures) * (PART + 4) - 4, PART + CAPTION), "white")
    for column, (name, picture) in enumerate(pictures.items()):
        left = column * (PART + 4)
        first = (picture.shape[-1] - PART) // 2
        part = picture[0, :, first : first + PART, first : first + PART]
        pixels = ((part.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        sheet.paste(Image.fromarray(pixels), (left, 0))
        ImageDraw.Draw(sheet).text((left + 2, PART + 2), captions[name], fill="black", font=font)
    return sheet


def main() -> None:
    """Restore, draw and write."""
    parser = parser_of(__doc__, prior=BUNDLED)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--task", action="append", choices=list(TASKS), help="this task alone (may be given again)")
    parser.add_argument("--guide", choices=[REAL_ESRGAN], help="what to start from, too")
    parser.add_argument("--size", type=int, default=512, help="side of the images in pixels")
    parser.add_argument("--tile", type=int, default=256, help="side of the network's tiles in pixels")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in ("lpips", *filter(None, [options.guide])):
        fetch_model(name)
    lpips, paths = load_lpips(device="cpu"), photograph_paths()
    restorer = Restorer(prior_of(options.prior), tile=options.tile)
    options.folder.mkdir(parents=True, exist_ok=True)
    record = options.folder / "figures.json"
    rows = json.loads(record.read_text(encoding="utf-8"))["rows"] if record.exists() else {}
    for name in options.task or TASKS:
        task, x = TASKS[name], middle_square(paths[SHOWN[name]], options.size)
        A = task.operator(options.size)
        y = task.observe(A, x)
        began = time.process_time()
        result = restorer(y, A, sigma_y=2 * task.told)
        seconds = time.process_time() - began
        found = {"start": result.start, "restored": result.images}
        if options.guide:
            guide = load_real_esrgan(device="cpu").enlarged(y, (options.size, options.size))
            guided = restorer(y, A, sigma_y=2 * task.told, start=guide).images
            found = {options.guide: guide, "restored": result.images, GUIDED: guided}
        pictures = {"given": given(A, y, options.size), **found, "original": x}
        measured = {"simple": scores(task.shown(A, task.rival(A, y)), task.shown(A, x), lpips)}
        measured |= {word: scores(task.shown(A, image), task.shown(A, x), lpips) for word, image in found.items()}
        captions = {
            word: f"{word}: {s['psnr']:.2f} dB, {s['ssim']:.3f}, {s['lpips']:.3f}"
            if (s := measured.get(word))
            else word
            for word in pictures
        }
        path = options.folder / f"{name.replace(' ', '-')}.webp"
        figure(pictures, captions).save(path, quality=82, method=6)
        rows[name] = {
            "photograph": SHOWN[name],
            "size": options.size,
            "processor_seconds": round(seconds, 1),
        } | measured
        record.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n", encoding="utf-8")
        print(table(rows), flush=True)
    (options.folder / "figures.md").write_text(table(rows), encoding="utf-8")


def table(rows: Mapping[str, Mapping[str, object]]) -> str:
    """Return the figures of all pictures."""
    columns = list(
        dict.fromkeys(word for row in rows.values() for word, score in row.items() if isinstance(score, dict))
    )
    lines = [f"| task | photograph | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name in [name for name in TASKS if name in rows]:
        row = rows[name]
        cells = [_cell(row[word]) for word in columns]
        lines.append(f"| {name} | {row['photograph']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(score: object) -> str:
    assert isinstance(score, Mapping)
    return f"{score['psnr']:.2f} / {score['ssim']:.3f} / {score['lpips']:.3f}"


if __name__ == "__main__":
    main()
