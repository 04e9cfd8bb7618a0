"""The figures of docs/performance.md: python -m benchmarks.engine [--quick]

One table: the engine's modes beside a loop written by hand, the published algorithm, DDNM with 100 steps, and
ParaDiGMS; same network, images, precision and device. Then bulk in turns with the loop, a partly filled last batch,
a shard of mixed sizes and operators, several replicas; growth of the work with images, steps and pixels; quality at
equal depth; memory; parts of the time and its distance from the least. Writes engine.json (with the environment)
and engine.md into --out. Times are the process's own on a CPU. Takes a quarter of an hour, --quick a few seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from deqir import Settings
from deqir.metrics import psnr
from deqir.models import fetch_model
from deqir.pretrained.lpips import load_lpips
from deqir.priors import Prior
from deqir.protocols import Denoiser
from deqir.settings import Defaults

from .command import parser_of_tables, prior_of
from .costs import floor, shares
from .environment import environment
from .footprint import table as footprint
from .growth import at_equal_depth, by_images, by_pixels, by_steps
from .photographs import PHOTOGRAPHS
from .rivals import Problem, loop_by_hand
from .trials import GREY_LEVELS, Row, bulk, clock_of, markdown, mixed_shard, problem_of, replicas, tail
from .ways import by_hand, chain_of, ours, ways


class Counting:
    """A denoiser with counts of its calls and evaluations."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.calls = self.evaluations = 0

    def __call__(self, x_t: Tensor, alpha_bar: Tensor, /) -> Tensor:
        self.calls += 1
        self.evaluations += len(x_t)
        return self._denoiser(x_t, alpha_bar)


def compared(prior: Prior, problem: Problem, x: Tensor, *, batch: int) -> list[Row]:
    """Restore all images in every way, and the first alone; the originals are for the PSNR."""
    truth = loop_by_hand(prior, problem, chain_of(problem.A, Defaults.STEPS, Defaults.ETA))
    rows, clock = list[Row](), clock_of(prior.device)
    for name, restore, same in ways(batch):
        counting = Counting(prior.denoiser)
        counted = replace(prior, denoiser=counting)
        began = clock()
        images, rounds = restore(counted, problem)
        middle, evaluations = clock(), counting.evaluations
        restore(counted, replace(problem, y=problem.y[:1], seeds=problem.seeds[:1]))
        end = clock()
        off = float((images - truth).square().mean().sqrt()) * GREY_LEVELS if same else ""
        rows.append(
            {
                "": name,
                "rounds": rounds,
                "NFE an image": evaluations / len(images),
                "images/hour": 3600 * len(images) / (middle - began),
                "s, one image": end - middle,
                "grey levels off": off,
                "dB": float(psnr(images.clamp(-1, 1), x).mean()),
            }
        )
    return rows


def tables(prior: Prior, options: argparse.Namespace) -> dict[str, Callable[[], list[Row]]]:
    """Return the function to measure each table, by name."""
    quick, batch, device = options.quick, options.batch, prior.device
    small = 16 if quick else 64
    few, x = problem_of(2 if quick else 4, 32 if quick else options.size, device)
    many, _ = problem_of(2 if quick else 64, 32 if quick else options.size, device)
    depths, lengths = ((2,), (4,)) if quick else ((3, 5, 8), (20, 50))
    names, side = (PHOTOGRAPHS[:1], 64) if quick else (PHOTOGRAPHS, options.size)
    batches = (1,) if quick else (1, 2, 4, 8, 16)

    def bulk_in_turns() -> list[Row]:
        steps = Defaults.STEPS // 2
        engine, by_itself = ours(Settings(steps=steps, denoiser_batch=batch)), by_hand(steps, batch)
        return [bulk(prior, many, engine, by_itself, pairs=1 if quick else 7)]

    def depth() -> list[Row]:
        fetch_model("lpips")
        lpips = load_lpips(device=options.device)
        return at_equal_depth(prior, lpips, depths, size=side, lengths=lengths, names=names)

    return {
        "ways": lambda: compared(prior, few, x, batch=batch),
        "bulk": bulk_in_turns,
        "tail": lambda: tail(prior, size=small // 2, batch=4 if quick else 16, steps=Defaults.STEPS),
        "shard": lambda: [mixed_shard(prior, images=7 if quick else 37)],
        "replicas": lambda: replicas(prior, few),
        "images": lambda: by_images(prior, (1, 5) if quick else (1, 4, 16, 64, 256), size=small // 2, batch=16),
        "steps": lambda: by_steps(prior, (3, 5) if quick else (5, 10, 20, 50, 100, 200), size=small * 3 // 4),
        "pixels": lambda: by_pixels(prior, (32, 64) if quick else (64, 128, 256, 512, 1024), steps=2),
        "depth": depth,
        "memory": lambda: footprint(options.prior, size=2 * small, images=2 if quick else 32, batches=batches),
        "shares": lambda: shares(prior, few, ("throughput", "latency"), batch=batch),
        "floor": lambda: [floor(prior, size=32 if quick else options.size)],
    }


def main() -> None:
    """Measure, print as it goes, and write the results."""
    options = _options()
    torch.set_num_threads(1)
    prior = prior_of(options.prior, device=options.device)
    facts = {
        "environment": environment(),
        "prior": {"name": prior.name, "sha256": prior.digest},
        "problem": {"task": "sr4", "size": options.size, "batch": options.batch, "device": options.device},
    }
    found = dict[str, list[Row]]()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, measured in tables(prior, options).items():
        if name in (options.table or [name]):
            with torch.inference_mode():
                found[name] = measured()
            print(f"{name}\n{markdown(found[name])}", flush=True)
            spent = {"processor_seconds": round(time.process_time())}
            (options.out / "engine.json").write_text(json.dumps(facts | spent | {"tables": found}) + "\n")
            parts = (f"### {name}\n\n{markdown(rows)}" for name, rows in found.items())
            (options.out / "engine.md").write_text("\n".join(parts), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = parser_of_tables(__doc__)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--size", type=int, default=96, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=1, help="most evaluations in one call of the network")
    return parser.parse_args()


if __name__ == "__main__":
    main()
