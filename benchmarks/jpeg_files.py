"""Undo JPEG as each file tells it: python -m benchmarks.jpeg_files (FFDNet; ten minutes on two cores).

The ten test photographs are compressed by Pillow and restored. A row has the means of PSNR and of LPIPS on VGG16's
features, as decoded and restored, the mean and the least gain, and the share of coefficients that differ when the
result is compressed again.
"""

from __future__ import annotations

import argparse
import io
from statistics import fmean
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deqir import Restorer, load_prior
from deqir.defaults import Defaults
from deqir.metrics import psnr
from deqir.operators import Colorization, JpegCompression
from deqir.sampling.noise import GREY
from pipeline.images.jpeg_file import read_jpeg

from .perception import Vgg
from .test_set import middle_square, photograph_paths

KINDS: Final = {"4:2:0": 2, "4:4:4": 0, "grey": None}
QUALITIES: Final = (10, 30, 60, 85)


def rounded(x: Tensor) -> Tensor:
    return x.clamp(-1, 1).add(1).mul(127.5).round().div(127.5).sub(1)


def compressed(x: Tensor, quality: int, kind: str) -> bytes:
    """Return an image, shape (3, H, W), as a JPEG file."""
    image = Image.fromarray(x.add(1).mul(127.5).round().byte().permute(1, 2, 0).numpy())
    buffer, subsampling = io.BytesIO(), KINDS[kind]
    if subsampling is None:
        image.convert("L").save(buffer, "JPEG", quality=quality)
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def decoded(file: bytes) -> Tensor:
    with Image.open(io.BytesIO(file)) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 127.5 - 1


def row(images: list[Tensor], kind: str, quality: int, *, restore: Restorer, vgg: Vgg) -> str:
    """Return the figures of a kind of file at a quality."""
    scores, other = list[tuple[float, float, float, float]](), list[float]()
    for x in images:
        if kind == "grey":
            x = rounded(Colorization()(x[None])[0]).expand(3, -1, -1)
        file = compressed(x, quality, kind)
        found, given = read_jpeg(file), decoded(file)
        assert found is not None
        A = JpegCompression.of(found)
        sigma = A.sigma * (GREY if kind == "grey" else 1)
        restored = A.framed(restore(A.observation(found)[None], A, sigma_y=sigma, seed=7).images)[0]
        if kind == "grey":
            restored = restored.mean(0, keepdim=True).expand(3, -1, -1)
        restored = rounded(restored)
        pairs = [(float(psnr(z[None], x[None])), vgg(z[None], x[None])) for z in (given, restored)]
        scores.append((*pairs[0], *pairs[1]))
        again = read_jpeg(compressed(restored, quality, kind))
        assert again is not None
        differ = [(a != b).flatten() for a, b in zip(again.values, found.values, strict=True)]
        other.append(float(torch.cat(differ).double().mean()))
    before, seen, after, looks = (fmean(column) for column in zip(*scores, strict=True))
    least = min(score[2] - score[0] for score in scores)
    return (
        f"| {kind} | {quality} | {before:.2f} / {seen:.3f} | {after:.2f} / {looks:.3f} | {after - before:.2f}, "
        f"{least:.2f} | {100 * fmean(other):.2f} % |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jpeg_files", description=__doc__)
    parser.add_argument("--size", type=int, default=192, help="side of the photographs (192)")
    parser.add_argument("--qualities", type=int, nargs="+", default=QUALITIES, help="qualities of Pillow's encoder")
    options = parser.parse_args()
    images = [rounded(middle_square(path, options.size)[0]) for path in photograph_paths().values()]
    restore = Restorer(load_prior("ffdnet"), eta=Defaults.JPEG_ETA, kappa=Defaults.JPEG_KAPPA)
    print("| file | quality | decoded | restored | gain, least gain | other coefficients |\n|---|---|---|---|---|---|")
    for kind in KINDS:
        for quality in options.qualities:
            print(row(images, kind, quality, restore=restore, vgg=Vgg()), flush=True)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
