"""What rounds take where they run, measured at the first of them, and how many evaluations go into a network call."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor

from deqir.hardware.memory import out_of_memory
from deqir.priors.prior import Prior
from deqir.protocols import Denoiser, Surrogate
from deqir.sampling.chain import Chain
from deqir.sampling.sampler import Sampler
from deqir.settings import SURROGATES, Settings

from .batch_size import Batch, timed_calls
from .image_state import Flight
from .requests import Request
from .scheduler import Shape, shape_of
from .tiling import Tilings
from .windows import RUNGS, Pace

STATES: Final = 4
"""Held in the rounds that are timed."""
TIMES: Final = 4
"""Rounds that are timed: the first ones set up what later ones find."""


@dataclass(slots=True)
class Measured:
    """What an engine has found out where it runs; those of the same prior, settings and device may share it.

    Attributes:
        batch: Of its network calls.
        states: Seconds that a round takes for each state of a window, without the network; by the bits of the number
            of an image's pixels, as sizes within a factor of two are taken for one.
    """

    batch: Batch | None = None
    states: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """The batches and the pace of an engine's rounds.

    Attributes:
        prior, settings, tilings: The engine's.
        measured: What is known; it is added to.
    """

    prior: Prior | Denoiser
    settings: Settings
    tilings: Tilings
    measured: Measured

    @property
    def replicas(self) -> int:
        """Devices among which the network divides its work."""
        return self.prior.replicas if isinstance(self.prior, Prior) else 1

    def batch_of(self, request: Request[Any]) -> int:
        """Return how many evaluations of an image like this go into one network call, measured at the first."""
        shape, device = shape_of(request), self.device_of(request)
        if self.measured.batch is None:
            batch = Batch(self.settings.denoiser_batch or (self.replicas if device.type == "cpu" else None))
            if not batch.known:
                seen = self.tilings.seen(shape)
                batch.measure(seen, timed_calls(self.prior, seen, dtype=request.y.dtype, device=device))
            self.measured.batch = batch
        return max(1, self.a_call(shape) // self._tiles(shape))

    def pace_of(self, request: Request[Any], chain: Chain) -> Pace | None:
        """Return what rounds of images like this take, where the network was timed; `auto` goes by it."""
        batch, shape = self.measured.batch, shape_of(request)
        if self.settings.mode != "auto" or batch is None or not batch.timed:
            return None
        choice = min(self.batch_of(request), chain.steps) >= RUNGS[1]
        state = self._state_of(request, chain) if choice else 0.0
        seen, tiles = self.tilings.seen(shape), self._tiles(shape)
        return lambda images, window: batch.seconds(seen, images * window * tiles) + images * window * state

    def _state_of(self, request: Request[Any], chain: Chain) -> float:
        """Return what a round takes for each state of images about as large as this; inf where memory runs out."""
        states, size = self.measured.states, math.prod(shape_of(request)[-2:]).bit_length()
        if size not in states:
            surrogate, device = SURROGATES[self.settings.surrogate], self.device_of(request)
            try:
                states[size] = seconds_a_state(request, chain, surrogate, device=device)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                states[size] = math.inf
        return states[size]

    def a_call(self, image: Shape) -> int:
        """Return how many images of a shape, or tiles of them, go into one network call."""
        tiling, batch = self.tilings.of(image), self.measured.batch
        if batch is None or (tiling is not None and tiling.scarce):
            return 1
        return batch.of(self.tilings.seen(image))

    def halve(self, image: Shape, evaluations: int) -> bool:
        """Allow half of so many evaluations of images of a shape in a call, from now on; False where it was but one."""
        batch = self.measured.batch
        tiled = min(evaluations * self._tiles(image), self.a_call(image))
        return batch is not None and batch.halve(self.tilings.seen(image), tiled)

    def device_of(self, request: Request[Any]) -> torch.device:
        """Return where the arithmetic of an image runs."""
        return place_of(self.prior, self.settings, request.y)

    def _tiles(self, image: Shape) -> int:
        tiling = self.tilings.of(image)
        return tiling.count(image) if tiling else 1


def place_of(prior: Prior | Denoiser, settings: Settings, y: Tensor) -> torch.device:
    """Return where the arithmetic of an image runs, given its y."""
    return settings.device or (prior.device if isinstance(prior, Prior) else y.device)


def seconds_a_state(request: Request[Any], chain: Chain, surrogate: Surrogate, *, device: torch.device) -> float:
    """Return the seconds that a round takes for each state of an image, without the network.

    Args:
        request: Of the image; of its y but the shape matters.
        chain: Of the image, of at least two steps.
        surrogate: Stand-in for the Jacobian.
        device: Where the arithmetic runs.
    """
    nothing = torch.zeros(1, *shape_of(request), dtype=request.y.dtype, device=device)
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
