"""The ways of restoring compared in `benchmarks.engine`: deqir's, and its rivals'."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from deqir import Chain, Engine, Request, Result, Settings
from deqir.priors import Prior
from deqir.protocols import Denoiser, LinearOperator
from deqir.sampling.noise import chain_noise
from deqir.sampling.sampler import Sampler
from deqir.settings import Defaults

from .rivals import Problem, loop_by_hand, paradigms

Restore = Callable[[Prior, Problem], tuple[Tensor, float]]
"""Restored images and the mean rounds of one."""


def requests_of(problem: Problem) -> list[Request[int]]:
    """Return the images of a problem as the engine takes them."""
    pairs = enumerate(zip(problem.y, problem.seeds, strict=True))
    return [Request(y=y, operator=problem.A, seed=seed, tag=n) for n, (y, seed) in pairs]


def only(engine: Engine, problem: Problem) -> Result[int]:
    """Return the result of a problem of one image."""
    (result,) = engine.run(requests_of(problem))
    assert isinstance(result, Result)
    return result


def ours(settings: Settings) -> Restore:
    settings = replace(settings, within_range=False)  # the loops beside it end with the chain's last state

    def restore(prior: Prior, problem: Problem) -> tuple[Tensor, float]:
        requests = requests_of(problem)
        found = {result.tag: result for result in Engine(prior, settings).run(requests) if isinstance(result, Result)}
        rounds = sum(result.stats.rounds for result in found.values()) / len(found)
        return torch.stack([found[n].image for n in range(len(found))]), rounds

    return restore


def by_hand(steps: int, batch: int, *, eta: float = Defaults.ETA) -> Restore:
    def restore(prior: Prior, problem: Problem) -> tuple[Tensor, float]:
        chain = chain_of(problem.A, steps, eta)
        ends = [
            loop_by_hand(prior, replace(problem, y=y, seeds=problem.seeds[batch * n : batch * (n + 1)]), chain)
            for n, y in enumerate(torch.split(problem.y, batch))
        ]
        return torch.cat(ends), float(steps)

    return restore


def by_paradigms(window: int, batch: int, *, tolerance: float = 0.1) -> Restore:
    def restore(prior: Prior, problem: Problem) -> tuple[Tensor, float]:
        chain = chain_of(problem.A, Defaults.STEPS, Defaults.ETA)
        ends, rounds = list[Tensor](), list[int]()
        for y, seed in zip(problem.y[:, None], problem.seeds, strict=True):
            sampler = sampler_of(prior, problem.A, chain, y, seed, batch)
            end, taken = paradigms(sampler, window=window, tolerance=tolerance)
            ends.append(end)
            rounds.append(taken)
        return torch.cat(ends), sum(rounds) / len(rounds)

    return restore


def chain_of(A: LinearOperator, steps: int, eta: float) -> Chain:
    return Chain.between(A.start_noise, Defaults.END_NOISE, steps=steps, eta=eta)


def sampler_of(prior: Denoiser, A: LinearOperator, chain: Chain, y: Tensor, seed: int, batch: int) -> Sampler:
    start = A.start(y)
    noise = chain_noise([seed], start.shape[1:], chain.steps, dtype=y.dtype, device=y.device)
    return Sampler(
        denoiser=prior,
        A=A,
        chain=chain,
        pinv_y=A.pinv(y),
        start=start,
        guess=A.guess(y),
        noise=noise,
        denoiser_batch=batch,
    )


def ways(batch: int) -> Iterator[tuple[str, Restore, bool]]:
    """Yield name, method, and True if its result should equal the sequential chain's of the default T."""
    T = Defaults.STEPS
    settings = Settings(denoiser_batch=batch)
    yield f"loop by hand, T = {T}", by_hand(T, batch), True
    yield f"loop by hand, T = {T // 2}", by_hand(T // 2, batch), False
    yield f"loop by hand, T = {T // 4}", by_hand(T // 4, batch), False
    for mode in ("auto", "throughput", 3, 5, "latency"):
        name = f"window {mode}" if isinstance(mode, int) else str(mode)
        yield f"engine, {name}", ours(replace(settings, mode=mode)), True
    yield "engine, latency, tolerance 0.01", ours(replace(settings, mode="latency", tolerance=0.01)), True
    yield "published algorithm", ours(replace(settings, mode="paper")), True
    yield "DDNM, T = 100, eta = 0.85", by_hand(100, 1, eta=0.85), False
    for window in (5, T):
        yield f"ParaDiGMS, window {window}", by_paradigms(window, batch), True
