"""The gain of a declared JPEG error in restoration: python -m benchmarks.jpeg (FFDNet; half an hour on two cores).

Photographs are degraded, compressed, and restored with sigma_y = 0, with the typical error of the quality found in y,
and with the true standard deviation of the error, which nobody knows. In the last column the image restored with the
true value is projected into the cells of the quantisation (possible for A = I).
"""

from __future__ import annotations

import argparse
from statistics import fmean
from typing import Final

import torch
from torch import Tensor

from deqir import Restorer, load_prior
from deqir.estimation import estimate_jpeg
from deqir.estimation.jpeg import quantisation, typical_error
from deqir.linalg.dct import BLOCK, block_cosines, cosines
from deqir.metrics import psnr
from deqir.operators import Denoising, SuperResolution
from deqir.operators.colorization import REC_601
from deqir.pretrained.lpips import Lpips, load_lpips
from deqir.protocols import SpectralOperator

from .estimation import compressed
from .photographs import PHOTOGRAPHS, photograph

QUALITIES: Final = (30, 60, 90)
TASKS: Final[tuple[tuple[str, SpectralOperator], ...]] = (
    ("sr4", SuperResolution(scale=4)),
    ("none", Denoising()),
)
WAYS: Final = ("start", "sigma_y = 0", "typical of the quality", "the real one", "and put back")


def into_cells(image: Tensor, y: Tensor, quality: int) -> Tensor:
    """Return the image nearest to one in [-1, 1] whose luma is quantised as y's is, shape (C, H, W)."""
    weights = torch.tensor(REC_601)
    luma, seen = (torch.einsum("c,chw->hw", weights, each) * 127.5 for each in (image, y))
    steps, basis = quantisation(quality), cosines().float()
    inside = block_cosines(_blocks(luma))
    cell = (block_cosines(_blocks(seen)) / steps).round() * steps
    inside = torch.minimum(torch.maximum(inside, cell - steps / 2), cell + steps / 2)
    back = basis.T @ inside @ basis
    rows, columns = (side // BLOCK for side in luma.shape)
    plane = back.view(rows, columns, BLOCK, BLOCK).transpose(1, 2).reshape(luma.shape)
    return image + (plane - luma) / 127.5


def _blocks(plane: Tensor) -> Tensor:
    return plane.unfold(0, BLOCK, BLOCK).unfold(1, BLOCK, BLOCK).reshape(-1, BLOCK, BLOCK)


def measure(task: str, A: SpectralOperator, quality: int, *, size: int, steps: int, lpips: Lpips) -> dict[str, str]:
    """Return PSNR and LPIPS of each way, means over the photographs."""
    restore = Restorer(load_prior("ffdnet"), steps=steps)
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for name in PHOTOGRAPHS:
        x = photograph(name, size)
        clean = A(x)
        y = compressed(clean[0], quality)[None]
        estimate = estimate_jpeg(y[0])
        typical = typical_error(estimate.quality) if estimate else 0.0
        real = float((y - clean).square().mean().sqrt())
        images = {"start": A.start(y)}
        for way, sigma in zip(WAYS[1:4], (0.0, typical, real), strict=True):
            images[way] = restore(y, A, sigma_y=sigma).images
        if task == "none":
            images[WAYS[4]] = into_cells(images[WAYS[3]][0], y[0], quality)[None]
        for way, image in images.items():
            image = image.clamp(-1, 1)
            found[way].append((float(psnr(image, x)), float(lpips(image, x))))
    return {
        way: f"{fmean(a for a, _ in some):.2f} / {fmean(b for _, b in some):.3f}" if some else ""
        for way, some in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jpeg", description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="side of the photographs (256)")
    parser.add_argument("--steps", type=int, default=20, help="of the chain (20)")
    options = parser.parse_args()
    lpips = load_lpips()
    print(f"| task | quality | {' | '.join(WAYS)} |\n|---|---|{'---|' * len(WAYS)}")
    for task, A in TASKS:
        for quality in QUALITIES:
            row = measure(task, A, quality, size=options.size, steps=options.steps, lpips=lpips)
            print(f"| {task} | {quality} | {' | '.join(row.values())} |", flush=True)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
