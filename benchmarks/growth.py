"""Growth of the engine's work with images, steps and pixels, and the quality of a parallel solve at equal depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from deqir import Engine, Settings, Tally
from deqir.pretrained.lpips import Lpips
from deqir.priors import Prior
from deqir.settings import Defaults, Mode

from .measuring import Bench, Score, mean
from .photographs import operator, photograph
from .trials import GREY_LEVELS, Row, clock_of, problem_of
from .ways import only, requests_of

MODES: Final[tuple[Mode, Mode]] = ("throughput", "latency")


def by_images(prior: Prior, counts: Sequence[int], *, size: int, batch: int) -> list[Row]:
    """Restore ever more images, step by step."""
    rows, clock = list[Row](), clock_of(prior.device)
    for images in counts:
        problem, _ = problem_of(images, size, prior.device)
        tally, began = Tally(), clock()
        list(Engine(prior, Settings(mode="throughput", denoiser_batch=batch)).run(requests_of(problem), tally=tally))
        seconds = clock() - began
        rows.append(
            {
                "images": images,
                "rounds": tally.rounds,
                "evaluations": tally.evaluations,
                "occupancy": tally.occupancy,
                "ms an image": 1000 * seconds / images,
            }
        )
    return rows


def by_steps(prior: Prior, lengths: Sequence[int], *, size: int) -> list[Row]:
    """Restore one image over ever longer chains, all steps at once."""
    rows = list[Row]()
    problem, _ = problem_of(1, size, prior.device)
    for steps in lengths:
        settings = (Settings(steps=steps, mode=mode, denoiser_batch=1) for mode in MODES)
        chain, parallel = (only(Engine(prior, setting), problem) for setting in settings)
        apart, stats = (parallel.image - chain.image).square().mean().sqrt(), parallel.stats
        rows.append(
            {
                "T": steps,
                "rounds": stats.rounds,
                "T / rounds": steps / stats.rounds,
                "evaluations": stats.nfe,
                "evaluations / T": stats.nfe / steps,
                "grey levels off": float(apart) * GREY_LEVELS,
            }
        )
    return rows


def by_pixels(prior: Prior, sizes: Sequence[int], *, steps: int) -> list[Row]:
    """Restore ever larger images, step by step; the network's share of the time is measured by itself."""
    rows, clock = list[Row](), clock_of(prior.device)
    for size in sizes:
        problem, _ = problem_of(1, size, prior.device)
        began = clock()
        list(Engine(prior, Settings(mode="throughput", steps=steps, denoiser_batch=1)).run(requests_of(problem)))
        middle = clock()
        x, level = torch.zeros(1, 3, size, size, device=prior.device), torch.tensor([0.9], dtype=torch.float64)
        for _ in range(steps):
            prior(x, level.to(prior.device))
        engine, network = (middle - began) / steps, (clock() - middle) / steps
        rows.append(
            {
                "pixels a side": size,
                "ms a step": 1000 * engine,
                "ms of network alone": 1000 * network,
                "ns a pixel": 1e9 * engine / size**2,
            }
        )
    return rows


def at_equal_depth(
    prior: Prior, lpips: Lpips, depths: Sequence[int], *, size: int, lengths: Sequence[int], names: Sequence[str]
) -> list[Row]:
    """Compare k rounds over a long chain with a whole chain of k steps: means over photographs, to the originals."""
    rows, A, eta = list[Row](), operator("sr4", size), Defaults.ETA
    benches = [Bench(prior=prior, lpips=lpips, A=A, x=photograph(name, size).to(prior.device)) for name in names]

    def after_rounds(bench: Bench, steps: int) -> list[Score]:
        sampler = bench.sampler(steps=steps, eta=eta)
        return bench.by_rounds(sampler, to=sampler.start, surrogate="secant", solver="picard", rounds=max(depths))

    whole = {k: mean([bench.sequential(bench.sampler(steps=k, eta=eta))[1] for bench in benches]) for k in depths}
    for steps in lengths:
        long = [after_rounds(bench, steps) for bench in benches]
        for k in depths:
            chain, rounds = whole[k], mean([scores[k - 1] for scores in long])
            rows.append(
                {
                    "k": k,
                    "chain of k steps, dB": chain.psnr,
                    "LPIPS": chain.lpips,
                    "T": steps,
                    "k rounds of T steps, dB": rounds.psnr,
                    "LPIPS then": rounds.lpips,
                    "dB more": rounds.psnr - chain.psnr,
                    "LPIPS less, %": 100 * (1 - rounds.lpips / chain.lpips),
                }
            )
    return rows
