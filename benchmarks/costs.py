"""The parts of a restoration's time, and its distance from the least possible time on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from deqir import Engine, Settings
from deqir.priors import Prior
from deqir.protocols import Denoiser, LinearOperator
from deqir.settings import Mode

from .ceilings import pace
from .rivals import Problem
from .trials import Row, clock_of
from .ways import requests_of

P = ParamSpec("P")
R = TypeVar("R")


class Watch:
    """Adds up the time of calls by name; watched calls do not call each other."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.seconds = clock, dict[str, float]()

    def __call__(self, name: str, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        began = self.clock()
        answer = function(*arguments, **named)
        self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - began
        return answer


@dataclass(frozen=True, slots=True)
class WatchedDenoiser:
    """A denoiser under a watch."""

    denoiser: Denoiser
    watch: Watch

    def __call__(self, x_t: Tensor, alpha_bar: Tensor, /) -> Tensor:
        return self.watch("network", self.denoiser, x_t, alpha_bar)


@dataclass(frozen=True, slots=True, eq=False)
class WatchedOperator:
    """A degradation under a watch."""

    A: LinearOperator
    watch: Watch

    @property
    def start_noise(self) -> float:
        return self.A.start_noise

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        return self.A.image_shape(y_shape)

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.watch("operator", self.A, x)

    def adjoint(self, y: Tensor, /) -> Tensor:
        return self.watch("operator", self.A.adjoint, y)

    def pinv(self, y: Tensor, /) -> Tensor:
        return self.watch("operator", self.A.pinv, y)

    def start(self, y: Tensor, /) -> Tensor:
        return self.watch("start and guess", self.A.start, y)

    def guess(self, y: Tensor, /) -> Tensor:
        return self.watch("start and guess", self.A.guess, y)


def shares(prior: Prior, problem: Problem, modes: tuple[Mode, ...], *, batch: int) -> list[Row]:
    """Return the share of each part in the time of restoring all images, in percent."""
    rows = list[Row]()
    for mode in modes:
        watch = Watch(clock_of(prior.device))
        watched = replace(prior, denoiser=WatchedDenoiser(prior.denoiser, watch))
        requests = requests_of(replace(problem, A=WatchedOperator(problem.A, watch)))
        began = watch.clock()
        list(Engine(watched, Settings(mode=mode, denoiser_batch=batch)).run(requests))
        total = watch.clock() - began
        parts = {name: 100 * seconds / total for name, seconds in watch.seconds.items()}
        rest = 100 - sum(parts.values())
        rows.append({"mode": mode, "ms an image": 1000 * total / len(requests), **parts, "steps and scans": rest})
    return rows


def floor(prior: Prior, *, size: int) -> Row:
    """Compare a network evaluation with the fastest measured multiplications of the device."""
    x, level = torch.zeros(1, 3, size, size, device=prior.device), torch.tensor([0.9], device=prior.device).double()
    with FlopCounterMode(display=False) as counter:
        prior(x, level)
    flops = counter.get_total_flops()
    fastest = partial(pace, device=prior.device)
    a, b = torch.rand(2, 1024, 1024, device=prior.device)
    image, kernel = torch.rand(1, 96, 64, 64, device=prior.device), torch.rand(96, 96, 3, 3, device=prior.device)
    network = flops / fastest(lambda: prior(x, level))
    matrices = 2 * 1024**3 / fastest(lambda: a @ b)
    convolution = 2 * 9 * 96**2 * 64**2 / fastest(lambda: functional.conv2d(image, kernel, padding=1))
    return {
        "GFLOP an evaluation": flops / 1e9,
        "network, GFLOP/s": network / 1e9,
        "matrices of 1024, GFLOP/s": matrices / 1e9,
        "one 3 x 3 convolution of 96 channels, GFLOP/s": convolution / 1e9,
        "network, % of the faster": 100 * network / max(matrices, convolution),
    }
