"""Judge a prior (python -m training.evaluate PRIOR --data DIR --out DIR): denoising beside FFDNet, and pictures.

Writes denoising.json, denoising.md, denoised.png (validation photographs under ever stronger noise, and denoised by
the prior) and samples.png (chains from pure noise, with nothing known). benchmarks.quality measures restoration.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

import torch
from PIL import Image
from torch import Tensor, nn

from deqir import Chain, load_prior
from deqir.priors import Prior

from .data import Crops
from .train import LEVELS, denoising_psnr, ffdnet, network_of

SHOWN: Final = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0)


@torch.inference_mode()
def sample(prior: Prior, count: int, size: int, *, steps: int, seed: int = 0) -> Tensor:
    """Return images in [-1, 1] made by the prior from noise alone."""
    chain = Chain.between(prior.max_noise, 0.01, steps=steps, eta=0.5)
    random = torch.Generator().manual_seed(seed)
    shape = (count, 3, size, size)
    x = float((1 - chain.alpha_bar[0]).sqrt()) * torch.randn(shape, generator=random)
    for i in range(chain.steps):
        here, there = chain.alpha_bar[i], chain.alpha_bar[i + 1]
        eps = prior(x, here.expand(count))
        x0_hat = ((x - float((1 - here).sqrt()) * eps) / float(here.sqrt())).clamp(-1, 1)
        eps = (x - float(here.sqrt()) * x0_hat) / float((1 - here).sqrt())
        fresh = torch.randn(shape, generator=random)
        x = float(there.sqrt()) * x0_hat + float(chain.c1[i]) * fresh + float(chain.c2[i]) * eps
    return x


@torch.inference_mode()
def denoised(network: nn.Module, clean: Tensor) -> Tensor:
    """Return two rows for each image in [0, 1]: with each noise of `SHOWN`, and denoised."""
    random = torch.Generator().manual_seed(0)
    rows = list[Tensor]()
    for image in clean:
        levels = torch.tensor(SHOWN)
        noisy = image + levels[:, None, None, None] * torch.randn(len(SHOWN), *image.shape, generator=random)
        rows += [noisy, network(noisy, levels)]
    return torch.stack(rows)


def grid(images: Tensor) -> Image.Image:
    """Return a picture of images in [0, 1], shape (rows, columns, 3, height, width)."""
    rows, columns, _, height, width = images.shape
    pixels = images.clamp(0, 1).permute(0, 3, 1, 4, 2).reshape(rows * height, columns * width, 3)
    return Image.fromarray((pixels * 255).round().byte().numpy())


def table(ours: list[float], theirs: list[float]) -> str:
    """Return the denoising PSNR by noise level as a table."""
    lines = ["| noise, images in [0, 1] | FFDNet, dB | this prior, dB | gain |", "|---|---|---|---|"]
    for level, own, other in zip(LEVELS, ours, theirs, strict=True):
        lines.append(f"| {level:g} | {other:.2f} | {own:.2f} | {own - other:+.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("prior", help="a prior's name or folder")
    parser.add_argument("--data", type=Path, required=True, help="folder that training.data prepared")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--size", type=int, default=192, help="side of the validation crops in pixels")
    parser.add_argument("--steps", type=int, default=100, help="of the chains from pure noise")
    parser.add_argument("--sample-size", type=int, default=128, help="side of their images in pixels")
    options = parser.parse_args()
    prior = load_prior(options.prior, device="cpu")
    network = network_of(prior)
    clean = Crops(options.data, "validation", seed=0).centres(options.size)
    yardstick = load_prior("ffdnet", device="cpu").max_noise
    theirs = denoising_psnr(ffdnet(), clean, max_noise=yardstick)
    ours = denoising_psnr(network, clean, max_noise=prior.max_noise)
    options.out.mkdir(parents=True, exist_ok=True)
    facts = {"prior": prior.name, "sha256": prior.digest, "photographs": len(clean), "size": options.size}
    rows = [
        {"noise": level, "ffdnet": round(other, 3), "prior": round(own, 3)}
        for level, own, other in zip(LEVELS, ours, theirs, strict=True)
    ]
    text = json.dumps(facts | {"psnr": rows}, indent=1)
    (options.out / "denoising.json").write_text(text + "\n", encoding="utf-8")
    (options.out / "denoising.md").write_text(table(ours, theirs), encoding="utf-8")
    grid(denoised(network, clean[:4])).save(options.out / "denoised.png")
    samples = sample(prior, 8, options.sample_size, steps=options.steps)
    grid(samples.view(2, 4, *samples.shape[1:]) / 2 + 0.5).save(options.out / "samples.png")


if __name__ == "__main__":
    main()
