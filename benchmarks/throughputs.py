"""The throughput of an accelerator compared with a loop by hand, its memory, and the CPU's work meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from deqir import Engine, Prior, Result, Settings, Tally
from deqir.sampling.noise import chain_noise

from .ceilings import pace
from .precisions import working_in
from .rivals import Problem
from .trials import GREY_LEVELS, Row, bulk, clock_of, problem_of, usual
from .ways import by_hand, ours, requests_of


def in_bulk(prior: Prior, precision: str, images: int, *, size: int, steps: int) -> Iterator[Row]:
    """Yield the images per hour of the engine and of the loop by hand, at the engine's batch.

    Args:
        prior: A prior in single precision.
        precision: Precision of its network; "default" is torch's default, with convolutions in TF32 on a GPU.
        images: Number of images.
        size: Side of the images in pixels.
        steps: Steps of their chains.
    """
    worker, (problem, _) = working_in(prior, precision), problem_of(images, size, prior.device)
    with torch.inference_mode():
        batch = Engine(worker, Settings()).sampler(requests_of(problem)[0]).denoiser_batch
        settings = Settings(steps=steps, mode="throughput", denoiser_batch=batch)
        loop = by_hand(steps, batch)
        end = loop(worker, problem)[0]  # what is set up once is there now
        filled, most, found = occupied(worker, problem, settings)
        row = bulk(worker, problem, ours(settings), loop, pairs=4, enough=3.0)
    off = float((found - end).square().mean().sqrt()) * GREY_LEVELS
    facts: Row = {"network": prior.name, "precision": precision, "pixels": size, "T": steps, "batch": batch}
    yield facts | row | {"occupancy": filled, "MiB at most": most, "grey levels from the loop": off}


def occupied(prior: Prior, problem: Problem, settings: Settings) -> tuple[float, float | str, torch.Tensor]:
    """Return the filled share of the engine's calls, the peak memory of tensors in MiB, and the images."""
    on_gpu, tally = prior.device.type == "cuda", Tally()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(prior.device)
    results = Engine(prior, settings).run(requests_of(problem), tally=tally)
    found = {result.tag: result.image for result in results if isinstance(result, Result)}
    most: float | str = torch.cuda.max_memory_allocated(prior.device) / 2**20 if on_gpu else ""
    return tally.occupancy, most, torch.stack([found[tag] for tag in sorted(found)])


def as_it_comes(prior: Prior, precision: str, images: int, *, size: int) -> Iterator[Row]:
    """Yield the images per hour of a prior with its starter networks, at default settings.

    A first run is not counted.
    """
    clock, (problem, _) = clock_of(prior.device), problem_of(images, size, prior.device)
    requests, engine = requests_of(problem), Engine(working_in(prior, precision), Settings())
    with torch.inference_mode():
        began = clock()
        batch = engine.sampler(requests[0]).denoiser_batch
        to_measure = clock() - began
        tally = Tally()
        list(engine.run(requests, tally=tally))
        start = pace(partial(engine.sampler, requests[0]), prior.device)
        seconds = usual(lambda: list(engine.run(requests)), prior.device, times=3, enough=2.0)
    yield {
        "network": prior.name,
        "precision": precision,
        "pixels": size,
        "images": images,
        "batch": batch,
        "s until it is known": to_measure,
        "occupancy": tally.occupancy,
        "images/hour": 3600 * images / seconds,
        "ms an image": 1000 * seconds / images,
        "ms of its start and noise": 1000 * start,
    }


def memory(prior: Prior, images: int, *, size: int, batch: int) -> Iterator[Row]:
    """Yield the peak memory of tensors while restoring some images."""
    problem, _ = problem_of(images, size, prior.device)
    _, most, _ = occupied(prior, problem, Settings(steps=3, mode="throughput", denoiser_batch=batch))
    yield {"network": prior.name, "pixels": size, "images": images, "batch": batch, "MiB at most": most}


def noise(device: torch.device, steps: int, size: int) -> Iterator[Row]:
    """Yield the time of drawing the noise of an image's chain, by one thread of the CPU and on the engine's device."""
    draw = partial(chain_noise, [0], (3, size, size), steps, dtype=torch.float32)
    here, there = (pace(partial(draw, device=where), where) for where in (torch.device("cpu"), device))
    yield {"T": steps, "pixels": size, "ms on the CPU": 1000 * here, "ms": 1000 * there}
