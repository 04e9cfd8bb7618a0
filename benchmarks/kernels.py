"""The work of a device in a round, kernel by kernel, and its share of idle time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from torch.profiler import ProfilerActivity, profile

from deqir import Engine, Prior, Settings, Tally
from deqir.settings import Mode

from .latencies import accustom
from .rivals import Problem
from .trials import Row, clock_of, problem_of
from .ways import requests_of

NAMED: Final = 8
"""Kinds of kernels listed for each case."""


class Case(NamedTuple):
    """Some images of one size, restored in one mode."""

    mode: Mode
    images: int
    size: int


class Account(NamedTuple):
    """The account of a run: its rounds, its seconds, and the kernels with their seconds."""

    rounds: int
    seconds: float
    calls: Counter[str]
    spent: Counter[str]


def account(prior: Prior, case: Case, *, batch: int, steps: int) -> Account:
    """Restore three times: as a warm-up, by the clock, and under the profiler, which slows it down."""
    problem, _ = problem_of(case.images, case.size, prior.device)
    engine = Engine(prior, Settings(mode=case.mode, steps=steps, denoiser_batch=batch))
    accustom(engine, problem)
    clock = clock_of(prior.device)
    began = clock()
    rounds = _restore(engine, problem)
    seconds = clock() - began
    on_gpu = prior.device.type != "cpu"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU], acc_events=True) as watched:
        _restore(engine, problem)
        clock()
    calls, spent = Counter[str](), Counter[str]()
    for event in watched.events() or ():
        if (event.device_type.name == "CPU") is not on_gpu:
            kind = kind_of(event.name)
            calls[kind] += 1
            spent[kind] += (event.time_range.elapsed_us() if on_gpu else event.self_cpu_time_total) / 1e6
    return Account(rounds, seconds, calls, spent)


def kind_of(kernel: str) -> str:
    """Return a kernel's short name; for elementwise kernels, the name of the operation."""
    words = re.findall(r"[A-Za-z]\w*(?:Functor|_kernel)\w*", kernel)
    telling = [word for word in words if not re.fullmatch(r"gpu_kernel\w*|\w*elementwise_kernel\w*", word)]
    if "elementwise_kernel" in kernel and telling:
        return f"elementwise: {telling[0]}"
    return re.sub(r"^void |at::native::|\(anonymous namespace\)::", "", kernel).replace("|", "/")[:80]


def _restore(engine: Engine, problem: Problem) -> int:
    tally = Tally()
    list(engine.run(requests_of(problem), tally=tally))
    return tally.rounds


def rounds_of(found: dict[Case, Account], network: str) -> Iterator[Row]:
    """Yield the time of a round, and the device's busy share of it."""
    for case, (rounds, seconds, calls, spent) in found.items():
        yield {
            "network": network,
            "mode": str(case.mode),
            "images": case.images,
            "pixels": case.size,
            "rounds": rounds,
            "ms a round": 1000 * seconds / rounds,
            "kernels a round": calls.total() / rounds,
            "ms of them": 1000 * spent.total() / rounds,
            "busy, %": 100 * spent.total() / seconds,
        }


def kinds_of(found: dict[Case, Account]) -> Iterator[Row]:
    """Yield the kernels with the longest times."""
    for case, (rounds, _, calls, spent) in found.items():
        for name, seconds in spent.most_common(NAMED):
            yield {
                "mode": str(case.mode),
                "images": case.images,
                "pixels": case.size,
                "kernel": name,
                "a round": calls[name] / rounds,
                "us each": 1e6 * seconds / calls[name],
                "% of all": 100 * seconds / spent.total(),
            }
