"""The figures of docs/performance.md: python -m benchmarks.engine [--quick]

One table: the engine's modes beside a loop written by hand, the published algorithm, DDNM with 100 steps, and
ParaDiGMS; same network, images, precision and device. Then a shard of mixed sizes and operators, and one image on
several replicas. Writes engine.json (with the environment) and engine.md into --out. About six minutes on one core,
--quick a few seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from deqir import Engine, Request, Result, Settings, Tally, load_prior, replicate
from deqir.metrics import psnr
from deqir.models import fetch_model
from deqir.priors import FETCHABLE, Prior
from deqir.protocols import Denoiser
from deqir.settings import Defaults

from .environment import environment
from .photographs import PHOTOGRAPHS, operator, photograph
from .rivals import Problem, loop_by_hand
from .ways import Restore, chain_of, ways

RESULTS: Final = Path(__file__).parent / "results"
GREY_LEVELS: Final = 127.5


class Counting:
    """A denoiser that counts its calls and the evaluations in them."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.calls = self.evaluations = 0

    def __call__(self, x_t: Tensor, alpha_bar: Tensor, /) -> Tensor:
        self.calls += 1
        self.evaluations += len(x_t)
        return self._denoiser(x_t, alpha_bar)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One way of restoring.

    Attributes:
        name: For people.
        rounds: Network passes one after another for one image, mean.
        nfe: Network evaluations for one image, mean.
        images_per_hour: All images together; on a CPU per hour of the one thread's time, whoever else is there.
        seconds: The first image alone, by the same clock.
        grey_levels: RMS distance to the sequential chain of the default T, of 255; None for another chain.
        psnr: To the originals in dB, mean.
    """

    name: str
    rounds: float
    nfe: float
    images_per_hour: float
    seconds: float
    grey_levels: float | None
    psnr: float


def measure(name: str, restore: Restore, prior: Prior, problem: Problem, x: Tensor, truth: Tensor | None) -> Line:
    """Restore all images, then the first alone."""
    clock = time.process_time if prior.device.type == "cpu" else time.perf_counter
    counting = Counting(prior.denoiser)
    counted = replace(prior, denoiser=counting)
    began = clock()
    images, rounds = restore(counted, problem)
    middle, evaluations = clock(), counting.evaluations
    restore(counted, replace(problem, y=problem.y[:1], seeds=problem.seeds[:1]))
    end = clock()
    off = None if truth is None else float(((images - truth) * GREY_LEVELS).square().mean().sqrt())
    return Line(
        name=name,
        rounds=rounds,
        nfe=evaluations / len(images),
        images_per_hour=3600 * len(images) / (middle - began),
        seconds=end - middle,
        grey_levels=off,
        psnr=float(psnr(images.clamp(-1, 1), x).mean()),
    )


def mixed_shard(prior: Prior, *, images: int = 37, batch: int = 8) -> dict[str, float]:
    """Restore images of five sizes and three problems side by side, and each again alone."""
    sizes, problems, requests = (32, 40, 48, 56, 64), ("sr4", "inpaint70", "text"), list[Request[int]]()
    operators = {(problem, size): operator(problem, size) for problem in problems for size in sizes}
    for n in range(images):
        size, problem = sizes[n * n % 5], problems[n % 3]
        A, x = operators[problem, size], photograph(PHOTOGRAPHS[n % len(PHOTOGRAPHS)], size)
        requests.append(Request(y=A(x)[0].to(prior.device), operator=A, seed=n, tag=n))
    settings, tally = Settings(mode="throughput", denoiser_batch=batch), Tally()
    until_the_last = [1.0]

    def watched() -> Iterator[Request[int]]:
        yield from requests
        until_the_last[0] = tally.occupancy

    together = {one.tag: one for one in Engine(prior, settings).run(watched(), tally=tally) if isinstance(one, Result)}
    apart = [next(Engine(prior, settings).run([request])) for request in requests]
    gaps = [float((one.image - together[one.tag].image).abs().max()) for one in apart if isinstance(one, Result)]
    return {
        "images": len(together),
        "occupancy until the last request": until_the_last[0],
        "occupancy": tally.occupancy,
        "largest difference to alone, grey levels": max(gaps) * GREY_LEVELS,
    }


def replica_rounds(prior: Prior, problem: Problem) -> dict[int, tuple[int, int]]:
    """Rounds and evaluations of the first image, by the number of replicas of the network."""
    found = dict[int, tuple[int, int]]()
    for replicas in (1, 2, 4, 8):
        tally, spread = Tally(), replicate([prior] * replicas)
        request = Request(y=problem.y[0], operator=problem.A, seed=problem.seeds[0], tag=0)
        list(Engine(spread, Settings(denoiser_batch=replicas)).run([request], tally=tally))
        found[replicas] = (tally.rounds, tally.evaluations)
    return found


def table(lines: list[Line]) -> str:
    head = ("", "rounds", "NFE/image", "images/hour", "s, one image", "grey levels off", "dB")
    rows = [
        (
            line.name,
            f"{line.rounds:.1f}",
            f"{line.nfe:.0f}",
            f"{line.images_per_hour:.0f}",
            f"{line.seconds:.2f}",
            "" if line.grey_levels is None else f"{line.grey_levels:.2f}",
            f"{line.psnr:.2f}",
        )
        for line in lines
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)) + "\n"


def main() -> None:
    """Measure, print as it goes, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny pictures, two images: a smoke run")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--prior", default="ffdnet", help="a prior's name or folder")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=1, help="most evaluations in one call of the network")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.prior in FETCHABLE:
        fetch_model(options.prior)
    prior, size = load_prior(options.prior, device=options.device), 32 if options.quick else options.size
    names = PHOTOGRAPHS[:2] if options.quick else PHOTOGRAPHS
    with torch.inference_mode():
        x, A = torch.cat([photograph(name, size) for name in names]).to(prior.device), operator("sr4", size)
        problem = Problem(y=A(x), A=A, seeds=tuple(range(len(x))))
        truth, lines = loop_by_hand(prior, problem, chain_of(A, Defaults.STEPS, Defaults.ETA)), list[Line]()
        for name, restore, same in ways(options.batch):
            lines.append(measure(name, restore, prior, problem, x, truth if same else None))
            print(lines[-1], flush=True)
        shard = mixed_shard(prior, images=7 if options.quick else 37)
        replicas = replica_rounds(prior, problem)
    facts = {
        "environment": environment(),
        "prior": {"name": prior.name, "sha256": prior.digest},
        "problem": {"task": "sr4", "size": size, "images": len(x), "batch": options.batch, "device": options.device},
        "lines": [asdict(line) for line in lines],
        "shard": shard,
        "replicas": replicas,
    }
    text = table(lines) + "\n" + "\n".join(f"- {name}: {value:.4g}" for name, value in shard.items()) + "\n"
    text += "\n".join(f"- {n} replicas: {r} rounds, {e} evaluations" for n, (r, e) in replicas.items()) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "engine.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")
    (options.out / "engine.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
