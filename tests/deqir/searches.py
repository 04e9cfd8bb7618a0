"""Searches and solves on the CPU, to be repeated on another device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from deqir.fixed_point.solvers import Anderson, Picard
from deqir.gradients.losses import GuideName, guided
from deqir.gradients.optimise import Optimisation, Optimised, optimise
from deqir.pretrained.lpips import Lpips
from deqir.protocols import FixedPoint
from tests.deqir.problems import OPERATORS, make_sampler, rand
from tests.deqir.restorations import moved, twins


def search(name: GuideName, gradient: str, device: torch.device) -> tuple[Optimised, Callable[[], Optimised]]:
    """The result of a search for noise on the CPU, and a function to repeat it on the device, called once already."""
    side = 32 if name == "lpips" else 8
    here = make_sampler(OPERATORS["colorize"], images=2, shape=(3, side, side), steps=3)
    far, guide = moved(here, device), 0.5 * rand(2, 3, side, side, seed=12)
    lpips, lpips_there = twins(lambda: Lpips().double(), device) if name == "lpips" else (None, None)
    settings = Optimisation(steps=2, gradient=gradient, variables="all")  # type: ignore[arg-type]
    loss, loss_there = guided(name, guide, lpips=lpips), guided(name, guide.to(device), lpips=lpips_there)
    expected = optimise(here, loss, settings=settings)
    optimise(far, loss_there, settings=settings)
    return expected, lambda: optimise(far, loss_there, settings=settings)


def solve(solver: Picard | Anderson, device: torch.device) -> tuple[FixedPoint, Callable[[], FixedPoint]]:
    """A solver's result on the CPU for elements of different numbers of rounds, and a function to repeat it there."""
    pace = torch.tensor([0.01, 0.5, 0.9, float("nan")], dtype=torch.float64)[:, None, None]
    init, target = torch.zeros(4, 2, 5, dtype=torch.float64), rand(4, 2, 5)
    far_pace, far_target, far_init = pace.to(device), target.to(device), init.to(device)

    def there(x: Tensor, rows: Tensor) -> Tensor:
        return far_target[rows] + far_pace[rows] * torch.cos(x)

    expected = solver(lambda x, rows: target[rows] + pace[rows] * torch.cos(x), init)
    return expected, lambda: solver(there, far_init)
