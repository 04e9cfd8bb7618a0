"""The engine on many images: bulk compared with a loop by hand, the last batch, mixed shards, several devices."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import Final

import torch
from torch import Tensor

from deqir import Engine, Request, Result, Settings, Tally, replicate
from deqir.priors import Prior

from .photographs import PHOTOGRAPHS, operator, photograph
from .rivals import Problem
from .ways import Restore, requests_of

GREY_LEVELS: Final = 127.5
Row = dict[str, float | str]
"""One row of a table by the names of its columns."""


def markdown(rows: Sequence[Row]) -> str:
    """Return rows of the same columns as a table; figures to four digits."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    for row in rows:
        cells = [value if isinstance(value, str) else _figure(value) for value in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def problem_of(images: int, size: int, device: torch.device) -> tuple[Problem, Tensor]:
    """Return so many images, degraded for 4x super-resolution, each with a seed of its own, and the originals."""
    A = operator("sr4", size)
    few = [photograph(name, size) for name in PHOTOGRAPHS]
    x = torch.cat([few[n % len(few)] for n in range(images)]).to(device)
    return Problem(y=A(x), A=A, seeds=tuple(range(images))), x


def clock_of(device: torch.device) -> Callable[[], float]:
    """Return the clock of a device: on a CPU this process's own time, so other processes do not count.

    On an accelerator it is the time at which all earlier work is done.
    """
    if device.type == "cpu":
        return time.process_time
    backend = torch.get_device_module(device)

    def settled() -> float:
        backend.synchronize(device)
        return time.perf_counter()

    return settled


def usual(call: Callable[[], object], device: torch.device, *, times: int = 5, enough: float = 0.4) -> float:
    """Return the median seconds of a repeated call; it is repeated less often if `enough` seconds were spent."""
    clock, seconds = clock_of(device), list[float]()
    while not seconds or (len(seconds) < times and sum(seconds) < enough):
        began = clock()
        call()
        seconds.append(clock() - began)
    return median(seconds)


def bulk(
    prior: Prior, problem: Problem, ours: Restore, by_hand: Restore, *, pairs: int, enough: float = math.inf
) -> Row:
    """Time the engine and the loop by hand in turns, each before the other as often as after it.

    There are fewer pairs of turns if `enough` seconds were spent.
    """
    clock, seconds = clock_of(prior.device), dict[Restore, list[float]]({ours: [], by_hand: []})
    for n in range(pairs):
        if sum(map(sum, seconds.values())) > enough:
            break
        for restore in (ours, by_hand) if n % 2 else (by_hand, ours):
            began = clock()
            restore(prior, problem)
            seconds[restore].append(clock() - began)
    ratios = [hand / engine for engine, hand in zip(seconds[ours], seconds[by_hand], strict=True)]
    return {
        "images": len(problem.y),
        "engine, images/hour": 3600 * len(problem.y) / median(seconds[ours]),
        "by hand, images/hour": 3600 * len(problem.y) / median(seconds[by_hand]),
        "engine / by hand, median": median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


def tail(prior: Prior, *, size: int, batch: int, steps: int) -> list[Row]:
    """Restore as many images as a batch holds, and some more."""
    rows = list[Row]()
    for images in (batch, batch + 1, batch + batch // 2, 2 * batch):
        problem, _ = problem_of(images, size, prior.device)
        tally, settings = Tally(), Settings(mode="throughput", denoiser_batch=batch, steps=steps)
        list(Engine(prior, settings).run(requests_of(problem), tally=tally))
        rows.append({"images": images, "batch": batch, "rounds": tally.rounds, "evaluations": tally.evaluations})
    for row in rows:
        row["rounds / those of one batch"] = float(row["rounds"]) / float(rows[0]["rounds"])
    return rows


def mixed_shard(prior: Prior, *, images: int = 37, batch: int = 8) -> Row:
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


def replicas(prior: Prior, problem: Problem) -> list[Row]:
    """Restore the first image with its network on several devices, all of them this one."""
    rows, first = list[Row](), replace(problem, y=problem.y[:1], seeds=problem.seeds[:1])
    for devices in (1, 2, 3, 4, 8):
        tally, spread = Tally(), replicate([prior] * devices)
        list(Engine(spread, Settings(denoiser_batch=devices)).run(requests_of(first), tally=tally))
        each = tally.evaluations / devices
        rows.append(
            {
                "devices": devices,
                "rounds": tally.rounds,
                "evaluations": tally.evaluations,
                "evaluations a device": each,
            }
        )
    return rows
