"""The latency of one image on an accelerator, step by step and with ever more of its states at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from deqir import Engine, Prior, Result, Settings
from deqir.hardware.memory import FEW_CALLS
from deqir.priors.prior import captured
from deqir.protocols import Denoiser
from deqir.settings import Defaults, Mode

from .precisions import unrecorded, working_in
from .rivals import Problem
from .trials import GREY_LEVELS, Row, clock_of, problem_of, usual
from .ways import only, requests_of

MODES: Final[tuple[Mode | int, ...]] = ("throughput", "latency", 5)
"""Modes to time; the others are compared with the first."""
SET_UP: Final = 1.5
"""Most seconds of warm-up restorations."""


@dataclass(frozen=True, slots=True)
class Deepened:
    """A denoiser with the output of one network and also the running time of another.

    A network of random weights does not converge like a trained network. This denoiser has the rounds of the trained
    network and, added to its time, the seconds of the other network.
    """

    trained: Denoiser
    deep: Denoiser

    def __call__(self, x_t: Tensor, alpha_bar: Tensor, /) -> Tensor:
        return self.trained(x_t, alpha_bar) + 0 * self.deep(x_t, alpha_bar)


def deepened(trained: Prior, deep: Prior) -> Prior:
    """Return a prior with the first's output and also the second's running time, the calls of both recorded as one."""
    both = Deepened(unrecorded(trained).denoiser, unrecorded(deep).denoiser)
    name = f"{deep.name}, answers of {trained.name}"
    return captured(replace(trained, name=name, denoiser=both, multiple=max(trained.multiple, deep.multiple)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One image and one chain."""

    steps: int
    size: int
    eta: float = Defaults.ETA


def alone(prior: Prior, precision: str, cell: Cell) -> Iterator[Row]:
    """Yield the time of each mode for one image, the first mode step by step.

    Args:
        prior: A prior in single precision.
        precision: Precision of its network; "default" is torch's default, with convolutions in TF32 on a GPU.
        cell: Image and chain.
    """
    worker, (problem, _) = working_in(prior, precision), problem_of(1, cell.size, prior.device)
    settings = Settings(steps=cell.steps, eta=cell.eta)
    with torch.inference_mode():
        batch = Engine(worker, settings).sampler(requests_of(problem)[0]).denoiser_batch
    first: tuple[float, Tensor] | None = None
    for mode in MODES:
        seconds, result = _timed(Engine(worker, replace(settings, mode=mode, denoiser_batch=batch)), problem)
        first = first or (seconds, result.image)
        stats = result.stats
        off = float((result.image - first[1]).square().mean().sqrt()) * GREY_LEVELS
        yield {
            "network": prior.name,
            "precision": precision,
            "T": cell.steps,
            "eta": cell.eta,
            "pixels": cell.size,
            "batch": batch,
            "mode": f"window {mode}" if isinstance(mode, int) else mode,
            "window": stats.window,
            "rounds": stats.rounds,
            "NFE": stats.nfe,
            "ms": 1000 * seconds,
            "ms a round": 1000 * seconds / stats.rounds,
            "times as fast": first[0] / seconds,
            "grey levels off": off,
        }


def _timed(engine: Engine, problem: Problem) -> tuple[float, Result[int]]:
    """Return the median of the seconds of a restoration, and its result."""
    accustom(engine, problem)
    result = only(engine, problem)
    return usual(lambda: only(engine, problem), problem.y.device), result


def accustom(engine: Engine, problem: Problem) -> None:
    """Restore until a GPU's calls are recorded, at most for `SET_UP` seconds."""
    clock = clock_of(problem.y.device)
    began = clock()
    for _ in range(FEW_CALLS if problem.y.is_cuda else 1):
        list(engine.run(requests_of(problem)))
        if clock() - began > SET_UP:
            return
