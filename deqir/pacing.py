"""What a round costs beside its network calls, measured where it runs."""

from __future__ import annotations

import math
import time
from typing import Any, Final

import torch
from torch import Tensor

from .chain import Chain
from .crew import shape_of
from .flight import Flight
from .protocols import Surrogate
from .requests import Request
from .trajectory import Sampler

STATES: Final = 4
"""Held in the rounds that are timed."""
TIMES: Final = 4
"""Rounds that are timed: the first ones set up what later ones find."""


def seconds_a_state(
    request: Request[Any], chain: Chain, surrogate: Surrogate, *, dtype: torch.dtype, device: torch.device
) -> float:
    """Return the seconds that a round takes for each state of an image, without the network.

    Args:
        request: Of the image; of its y but the shape matters.
        chain: Of the image.
        surrogate: Stand-in for the Jacobian.
        dtype, device: Of the states.
    """
    nothing = torch.zeros(1, *shape_of(request), dtype=dtype, device=device)
    sampler = Sampler(
        denoiser=_silent,
        A=request.operator,
        chain=chain,
        pinv_y=nothing,
        start=nothing,
        noise=nothing[:, None].expand(-1, chain.steps + 1, -1, -1, -1),
        sigma_y=nothing.new_full((1,), request.sigma_y) if request.sigma_y else None,
    )
    flight = Flight(request, sampler, surrogate, tolerance=0.0, max_rounds=chain.steps)
    best = math.inf
    for _ in range(TIMES):
        states = flight.due(STATES)
        _settle(device)
        began = time.perf_counter()
        flight.carry(_silent(states, states)).tolist()
        best = min(best, (time.perf_counter() - began) / len(states))
    return best


def _silent(x_t: Tensor, alpha_bar: Tensor, /) -> Tensor:
    return torch.zeros_like(x_t)


def _settle(device: torch.device) -> None:
    if device.type != "cpu":
        torch.get_device_module(device).synchronize(device)
