"""The table of docs/performance.md on the cost and accuracy of tiles: python -m benchmarks.tiles

FFDNet, 4x super-resolution, 20 steps, one thread. Prints, for an image restored whole and in tiles: megapixels of
network input per evaluation, processor seconds, peak memory above the loaded network's, and the distance to the
whole image's result in grey levels of 255, largest and RMS. Each in a process of its own; about ten minutes.
"""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import torch
from torch import Tensor

from deqir import Engine, Request, Result, Settings, load_prior
from deqir.engine.tiling import Tiling
from deqir.models import fetch_model
from deqir.operators import SuperResolution

from .footprint import peak
from .photographs import photograph

TILE = 256
OVERLAPS = (16, 32, 64)


class Measured(NamedTuple):
    """One restoration; memory in MiB."""

    image: Tensor
    seconds: float
    memory: float


def picture(side: int) -> Tensor:
    """Return the astronaut, 512 pixels a side, with her mirror images around for larger sides."""
    image = photograph("astronaut", min(side, 512))
    if side > 512:
        image = torch.cat([image, image.flip(-1)], -1)
        image = torch.cat([image, image.flip(-2)], -2)
    return image[..., :side, :side]


def measure(side: int, overlap: int | None) -> Measured:
    """Restore an image in tiles, or whole where there is no overlap."""
    torch.set_num_threads(1)
    prior, A = load_prior("ffdnet", device="cpu"), SuperResolution(scale=4)
    y = A(picture(side))[0]
    before, began = peak(), time.process_time()
    settings = Settings(tile=None if overlap is None else TILE, overlap=overlap)
    (result,) = Engine(prior, settings).run([Request(y=y, operator=A, seed=0, tag=side)])
    if not isinstance(result, Result):
        raise result.error
    return Measured(result.image, time.process_time() - began, peak() - before)


def main() -> None:
    """Print the table."""
    fetch_model("ffdnet")
    print("| image | overlap | megapixels | seconds | MiB | largest distance | RMS |")
    print("|---|---|---|---|---|---|---|")
    for side in (512, 1024):
        whole: Tensor | None = None
        for overlap in (None, *OVERLAPS):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                image, seconds, memory = pool.submit(measure, side, overlap).result()
            whole = image if whole is None else whole
            apart = (image - whole) * 127.5
            tiles = 1 if overlap is None else Tiling(tile=TILE, overlap=overlap).count((3, side, side))
            seen = tiles * (side if overlap is None else TILE) ** 2 / 2**20
            cells = (
                f"{side} × {side}",
                "whole" if overlap is None else str(overlap),
                f"{seen:.2f}",
                f"{seconds:.0f}",
                f"{memory:.0f}",
                f"{float(apart.abs().max()):.1g}",
                f"{float(apart.square().mean().sqrt()):.1g}",
            )
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
