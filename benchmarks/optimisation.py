"""The gain and cost of optimising the noise: python -m benchmarks.optimisation --esrgan package/models/x4

Three test photographs, FFDNet, default settings, `--steps` gradient steps. For each task: the loss before and after,
PSNR and LPIPS to the original before and after, network evaluations (a vector-Jacobian product as two more) and
seconds of one core. `benchmarks.esrgan` names the source of its folder; without it the tasks with this guide are
left out. Results are kept in optimisation.json in --out, and the table in optimisation.md.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from deqir import Engine, Request, Settings
from deqir.gradients.losses import ColourDistance, Loss, Misfit, PerceptualDistance, PixelDistance, gaussian_blur
from deqir.gradients.optimise import Optimisation, optimise
from deqir.linalg.kernels import gaussian
from deqir.metrics import psnr
from deqir.models import fetch_model
from deqir.operators import KernelSuperResolution, SeparableDeblurring, SuperResolution
from deqir.pretrained.lpips import Lpips, load_lpips
from deqir.protocols import LinearOperator

from .command import RESULTS, parser_of, prior_of
from .environment import environment
from .esrgan import EsrganThick
from .photographs import operator, photograph

PHOTOGRAPHS: Final = ("astronaut", "chelsea", "coffee")
GRADIENTS: Final = ("exact", "phantom")
NOISE: Final = 0.05
"""Of the noisy tasks, images in [-1, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A task with its loss and guide.

    Attributes:
        A: The degradation assumed by the chain.
        truth: The true degradation; None: A.
        noise: Standard deviation of the noise in y, known to the chain, images in [-1, 1].
        loss: Loss of a restoration, from (original, y, the other restorer's image, LPIPS). The original serves only to
            make a picture of the same colours.
        guided: True if the other restorer guides it.
        start: The start of chains, from (original, the other restorer's image); None: the operator's start.
    """

    A: Callable[[int], LinearOperator]
    loss: Callable[[Tensor, Tensor, Tensor | None, Lpips], Loss]
    truth: LinearOperator | None = None
    noise: float = 0.0
    guided: bool = False
    start: Callable[[Tensor, Tensor | None], Tensor] | None = None


def colours_of(x: Tensor) -> Tensor:
    """Return a picture of the same colours, without detail and of another exposure."""
    return gaussian_blur(x, 4.0) + 0.2


def _guide(image: Tensor | None) -> Tensor:
    if image is None:
        raise ValueError("this task is guided by esrgan-thick: pass --esrgan")
    return image


SR4, BICUBIC, BLUR = SuperResolution(scale=4), KernelSuperResolution(scale=4), SeparableDeblurring(kernel=gaussian(1.6))
CASES: Final[Mapping[str, Case]] = {
    "sr4 of noisy y: misfit beyond its noise": Case(
        A=lambda size: SR4, noise=NOISE, loss=lambda x, y, guide, lpips: Misfit(A=SR4, y=y, sigma_y=NOISE)
    ),
    "sr4 of noisy y: all misfit": Case(
        A=lambda size: SR4, noise=NOISE, loss=lambda x, y, guide, lpips: Misfit(A=SR4, y=y)
    ),
    "deblurring with a cut inverse: misfit": Case(
        A=lambda size: BLUR, loss=lambda x, y, guide, lpips: Misfit(A=BLUR, y=y)
    ),
    "bicubic y, told as averages: misfit to bicubic": Case(
        A=lambda size: SR4, truth=BICUBIC, loss=lambda x, y, guide, lpips: Misfit(A=BICUBIC, y=y)
    ),
    "sr4, esrgan-thick: pixels": Case(
        A=lambda size: SR4,
        guided=True,
        loss=lambda x, y, guide, lpips: PixelDistance(guide=_guide(guide)),
        start=lambda x, guide: _guide(guide),
    ),
    "sr4, esrgan-thick: LPIPS": Case(
        A=lambda size: SR4,
        guided=True,
        loss=lambda x, y, guide, lpips: PerceptualDistance(guide=_guide(guide), lpips=lpips),
        start=lambda x, guide: _guide(guide),
    ),
    "inpainting 70 %, colour reference": Case(
        A=lambda size: operator("inpaint70", size),
        loss=lambda x, y, guide, lpips: ColourDistance(guide=colours_of(x)),
        start=lambda x, guide: colours_of(x),
    ),
    "colorization, colour reference": Case(
        A=lambda size: operator("colorize", size),
        loss=lambda x, y, guide, lpips: ColourDistance(guide=colours_of(x)),
        start=lambda x, guide: colours_of(x),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One photograph's search; pairs are (before, after), or dB and LPIPS of the guide."""

    case: str
    gradient: str
    photograph: str
    loss: tuple[float, float]
    psnr: tuple[float, float]
    lpips: tuple[float, float]
    nfe: int
    seconds: float
    guide: tuple[float, float] | None = field(default=None)


def measure(name: str, gradient: str, which: str, engine: Engine, lpips: Lpips, options: argparse.Namespace) -> Record:
    """Degrade a photograph, restore it, and optimise."""
    case, x = CASES[name], photograph(which, options.size)
    A = case.A(options.size)
    y = (case.truth or A)(x)
    y = y + case.noise * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    guide = EsrganThick(options.esrgan)(y).clone() if case.guided else None
    request = Request(y=y[0], operator=A, seed=0, tag=None, sigma_y=case.noise)
    if case.start is not None:  # with the noise that the command line takes: a picture of colours alone is far off
        noise = None if case.guided else A.start_noise
        engine = Engine(engine.prior, replace(engine.settings, start_noise=noise))
        request = replace(request, start=case.start(x, guide)[0])
    sampler = engine.sampler(request)
    settings = Optimisation(steps=options.steps, gradient=gradient, patience=options.steps)  # type: ignore[arg-type]
    began = time.process_time()
    found = optimise(sampler, case.loss(x, y, guide, lpips), settings=settings)
    seconds, (stats,) = time.process_time() - began, found.stats

    def score(image: Tensor) -> tuple[float, float]:
        shown = image.clamp(-1, 1)
        return float(psnr(shown, x)), float(lpips(shown, x))

    before, after = score(found.first), score(found.images)
    return Record(
        case=name,
        gradient=gradient,
        photograph=which,
        loss=(stats.loss_first, stats.loss_best),
        psnr=(before[0], after[0]),
        lpips=(before[1], after[1]),
        nfe=stats.nfe,
        seconds=seconds,
        guide=None if guide is None else score(guide),
    )


def table(records: Sequence[Record]) -> str:
    """Return means over the photographs, before -> after; losses as shares of the first loss."""
    lines = [
        "| asked for | gradient | loss left | PSNR in dB | LPIPS | NFE | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in CASES:
        for gradient in GRADIENTS:
            here = [record for record in records if (record.case, record.gradient) == (name, gradient)]
            if here:
                lines.append(f"| {name} | {gradient} | {_cells(here)} |")
    guides = {record.photograph: record.guide for record in records if record.guide}
    if guides:
        mean = [sum(pair[place] for pair in guides.values()) / len(guides) for place in (0, 1)]
        lines += ["", f"esrgan-thick alone: {mean[0]:.2f} dB, LPIPS {mean[1]:.3f}."]
    return "\n".join(lines) + "\n"


def _cells(records: Sequence[Record]) -> str:
    def mean(of: Callable[[Record], float]) -> float:
        return math.fsum(of(record) for record in records) / len(records)

    shares = [after / before if before else 1.0 for before, after in (record.loss for record in records)]
    left = " ".join(f"{share:.2f}" for share in shares) if any(record.loss[0] for record in records) else "no loss"
    return (
        f"{left} | {mean(lambda r: r.psnr[0]):.2f} → {mean(lambda r: r.psnr[1]):.2f} "
        f"| {mean(lambda r: r.lpips[0]):.3f} → {mean(lambda r: r.lpips[1]):.3f} "
        f"| {mean(lambda r: r.nfe):.0f} | {mean(lambda r: r.seconds):.0f}"
    )


def main() -> None:
    """Measure, and write the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--esrgan", type=Path, help="models/x4 of @upscalerjs/esrgan-thick")
    parser.add_argument("--steps", type=int, default=10, help="gradient steps")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--photographs", type=int, default=3, help="how many of the three")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    fetch_model("lpips")
    prior = prior_of(options.prior)
    engine, lpips, records = Engine(prior, Settings()), load_lpips(device="cpu"), list[Record]()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        if case.guided and options.esrgan is None:
            continue
        for gradient in GRADIENTS:
            for which in PHOTOGRAPHS[: options.photographs]:
                records.append(measure(name, gradient, which, engine, lpips, options))
            rows = [asdict(record) for record in records]
            facts = {"environment": environment(), "prior": prior.digest, "steps": options.steps, "size": options.size}
            (options.out / "optimisation.json").write_text(json.dumps(facts | {"records": rows}) + "\n", "utf-8")
            (options.out / "optimisation.md").write_text(table(records), "utf-8")
            print(table([record for record in records if (record.case, record.gradient) == (name, gradient)]))


if __name__ == "__main__":
    main()
