"""The spread of samples as a measure of their error: python -m benchmarks.uncertainty

Several restorations of each test photograph; the rank correlation (Spearman's) of their spread with the error of
their mean, over pixels and over blocks of 8 x 8; and the quality of the mean compared with one sample. Writes
uncertainty.json and uncertainty.md into --out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from deqir import Restorer
from deqir.metrics import psnr
from deqir.models import fetch_model
from deqir.pretrained.lpips import Lpips, load_lpips
from deqir.sampling.samples import Samples, sample_seed

from .command import RESULTS, parser_of, prior_of
from .environment import environment
from .tasks import TASKS
from .test_set import middle_square, photograph_paths

MEASURED: Final = ("sr4", "sr8", "gaussian 3", "random70", "hole", "colorize", "denoise 25")
BLOCK: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The samples of one photograph.

    Attributes:
        task, photograph: The restored image's task and photograph.
        pixels, blocks: Rank correlation of spread and error.
        spread, error: Root mean squares over the unknown pixels, images in [0, 1].
        psnr, psnr_mean: Of the first sample and of the mean, in dB.
        lpips, lpips_mean: The same in LPIPS.
    """

    task: str
    photograph: str
    pixels: float
    blocks: float
    spread: float
    error: float
    psnr: float
    psnr_mean: float
    lpips: float
    lpips_mean: float


def spearman(a: Tensor, b: Tensor) -> float:
    """Return the rank correlation; equal values get ranks in the order in which they lie."""
    ranks = torch.stack([v.flatten().argsort(stable=True).argsort(stable=True).double() for v in (a, b)])
    return float(torch.corrcoef(ranks)[0, 1])


def measure(restorer: Restorer, task: str, name: str, x: Tensor, lpips: Lpips, count: int) -> Record:
    """Restore one photograph `count` times."""
    A = TASKS[task].operator(x.shape[-1])
    y = TASKS[task].observe(A, x).expand(count, -1, -1, -1)
    seeds = [sample_seed(7, number) for number in range(count)]
    images = restorer(y, A, seeds=seeds, sigma_y=2 * TASKS[task].told).images.clamp(-1, 1)
    samples = Samples(images=images)
    spread, error = samples.spread / 2, (samples.mean - x[0]).square().mean(0).sqrt() / 2
    open_ = spread > 1e-6  # what the data leave open; elsewhere both are zero
    pool = [functional.avg_pool2d(v.square()[None, None], BLOCK).sqrt() for v in (spread, error)]
    some, mean = images[:1], samples.mean[None]
    return Record(
        task=task,
        photograph=name,
        pixels=spearman(spread[open_], error[open_]),
        blocks=spearman(*pool),
        spread=float(spread[open_].square().mean().sqrt()),
        error=float(error[open_].square().mean().sqrt()),
        psnr=float(psnr(some, x)),
        psnr_mean=float(psnr(mean, x)),
        lpips=float(lpips(some, x)),
        lpips_mean=float(lpips(mean, x)),
    )


def table(records: Sequence[Record]) -> str:
    """Return the means over photographs."""
    lines = [
        "| task | rank correlation, pixels | blocks of 8 x 8 (least) | spread / error | sample, dB / LPIPS | mean |",
        "|---|---|---|---|---|---|",
    ]
    for task in dict.fromkeys(record.task for record in records):
        here = [record for record in records if record.task == task]
        names = [field.name for field in fields(Record)[2:]]
        mean = {name: sum(getattr(record, name) for record in here) / len(here) for name in names}
        least = min(record.blocks for record in here)
        lines.append(
            f"| {task} ({len(here)}) | {mean['pixels']:.2f} | {mean['blocks']:.2f} ({least:.2f}) | "
            f"{mean['spread'] / mean['error']:.2f} | {mean['psnr']:.2f} / {mean['lpips']:.3f} | "
            f"{mean['psnr_mean']:.2f} / {mean['lpips_mean']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--task", action="append", choices=list(TASKS), help="this task alone (may be given again)")
    parser.add_argument("--photographs", type=int, default=10, help="how many of the ten")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--samples", type=int, default=8, help="restorations of each")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    fetch_model("lpips")
    lpips, restorer = load_lpips(device="cpu"), Restorer(prior_of(options.prior), mode="throughput")
    records = list[Record]()
    for task in options.task or MEASURED:
        for name, file in list(photograph_paths().items())[: options.photographs]:
            x = middle_square(file, options.size)
            records.append(measure(restorer, task, name, x, lpips, options.samples))
        print(table([record for record in records if record.task == task]), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    facts = {"environment": environment(), "samples": options.samples, "records": [asdict(each) for each in records]}
    (options.out / "uncertainty.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    (options.out / "uncertainty.md").write_text(table(records), encoding="utf-8")


if __name__ == "__main__":
    main()
