"""Continuous batching: many images on their way at once, each with a frontier and a window of states.

One round is one network batch of whatever is due of images of one shape. Images that are done leave it and waiting
ones enter at once. Window 1 is the sequential chain, batched over images; window T the joint map.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch

from .batching import Batch, free_cached_memory, out_of_memory, timed_calls
from .chain import Chain
from .crew import Crew, Pool, shape_of
from .flight import Flight
from .noise import chain_noise
from .priors.prior import Prior
from .protocols import Denoiser, LinearOperator
from .published import published
from .requests import Request, Result, Tally, TooLarge
from .rounds import fly
from .settings import SURROGATES, Settings
from .trajectory import Sampler
from .windows import Windows

Tag = TypeVar("Tag")


class Engine:
    """Restores a stream of images of any sizes and operators; each result is that of the image alone.

    "That of the image alone" holds up to rounding: sums over another batch are taken in another order, which in
    float32 moves a result by parts in 10^6 of its range.

    Args:
        prior: A `Prior`, or any `Denoiser`.
        settings: The same for all images.
    """

    def __init__(self, prior: Prior | Denoiser, settings: Settings) -> None:
        self.prior, self.settings = prior, settings
        self._batch: Batch | None = None
        self._chains: dict[float, Chain] = {}

    @torch.inference_mode()
    def run(
        self, requests: Iterable[Request[Tag]], *, tally: Tally | None = None
    ) -> Iterator[Result[Tag] | TooLarge[Tag]]:
        """Yield the result of each request, in the order in which they are done.

        Requests are taken only while there is room for them, on the calling thread.

        Args:
            requests: May be endless, and slow.
            tally: Counts what happens; one for each run.

        Raises:
            ValueError: An operator does not fit its image, or a setting is out of range.
            PriorError: The prior does not know noise as strong as a start's.
        """
        tally, requests = Tally() if tally is None else tally, iter(requests)
        first = next(requests, None)
        if first is None:
            return
        windows = Windows.of(self.settings, self._device(first), replicas=self._replicas)
        together = self.settings.mode != "paper"
        pool = Pool(itertools.chain([first], requests), windows, self._batch_of, crowd=together)
        while crew := pool.crew():
            began = time.perf_counter()
            try:
                ended = self._round(crew, pool, tally) if together else [self._as_published(crew, pool, tally)]
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                ended = self._make_room(crew, pool, tally, error)
            tally.seconds += time.perf_counter() - began
            tally.images += len(ended)
            yield from ended

    def _round(self, crew: Crew[Tag], pool: Pool[Tag], tally: Tally) -> list[Result[Tag] | TooLarge[Tag]]:
        """Take a crew one round further and return those that are done."""
        began, settings = time.perf_counter(), self.settings
        for request in list(crew.starting):
            flight = Flight(
                request,
                self._sampler(request),
                SURROGATES[settings.surrogate],
                tolerance=settings.tolerance,
                max_rounds=settings.max_rounds or settings.steps,
                alone=crew.alone,
            )
            pool.start(crew, flight)
        fly(self.prior, crew.flying, window=crew.window, batch=crew.batch, tally=tally)
        seconds = (time.perf_counter() - began) / crew.images
        for flight in crew.flying:
            flight.seconds += seconds
        done = [flight for flight in crew.flying if flight.done]
        for flight in done:
            pool.end(flight)
        return [flight.result() for flight in done]

    def _as_published(self, crew: Crew[Tag], pool: Pool[Tag], tally: Tally) -> Result[Tag]:
        began, (request,) = time.perf_counter(), crew.starting
        sampler = self._sampler(request)
        x_0, stats = published(sampler, y=request.y, tolerance=self.settings.tolerance)
        pool.drop(crew, request)
        tally.rounds += stats.rounds
        for k in range(stats.rounds):
            tally.count(self.settings.steps - k, batch=sampler.denoiser_batch)
        seconds = time.perf_counter() - began
        return Result(tag=request.tag, image=x_0, start=sampler.start[0], stats=stats, seconds=seconds)

    def _make_room(
        self, crew: Crew[Tag], pool: Pool[Tag], tally: Tally, error: Exception
    ) -> list[Result[Tag] | TooLarge[Tag]]:
        """Memory ran out: halve the batch; if it was but one evaluation, restore its image alone, or not at all."""
        free_cached_memory(self._device((crew.starting or [flight.request for flight in crew.flying])[0]))
        if self._batch is not None and self._batch.halve(crew.shape, min(crew.evaluations, crew.batch)):
            tally.halvings += 1
            return []
        hopeless = pool.put_off(crew)
        return [] if hopeless is None else [TooLarge(tag=hopeless.tag, shape=crew.shape, error=error)]

    def _sampler(self, request: Request[Tag]) -> Sampler:
        """Return the chain of one image."""
        settings, A, device = self.settings, request.operator, self._device(request)
        y = request.y[None].to(device)
        start = A.start(y)
        return Sampler(
            denoiser=self.prior,
            A=A,
            chain=self._chain(A),
            pinv_y=A.pinv(y),
            start=start,
            guess=A.guess(y),
            sigma_y=y.new_tensor([request.sigma_y]) if request.sigma_y else None,
            noise=chain_noise([request.seed], start.shape[1:], settings.steps, dtype=y.dtype, device=device),
            denoiser_batch=self._batch_of(request),
        )

    def _chain(self, A: LinearOperator) -> Chain:
        settings = self.settings
        noise = settings.start_noise_of(A)
        if noise not in self._chains:
            if isinstance(self.prior, Prior):
                self.prior.check_noise(noise)
            self._chains[noise] = Chain.between(noise, settings.end_noise, steps=settings.steps, eta=settings.eta)
        return self._chains[noise]

    def _device(self, request: Request[Tag]) -> torch.device:
        home = self.prior.device if isinstance(self.prior, Prior) else request.y.device
        return self.settings.device or home

    @property
    def _replicas(self) -> int:
        return self.prior.replicas if isinstance(self.prior, Prior) else 1

    def _batch_of(self, request: Request[Tag]) -> int:
        """Return how many evaluations of an image like this go into one network call, measured at the first."""
        shape, device = shape_of(request), self._device(request)
        if self._batch is None:
            at_home = self._replicas if device.type == "cpu" else None
            self._batch = Batch(self.settings.denoiser_batch or at_home)
            if not self._batch.known:
                calls = timed_calls(self.prior, shape, dtype=request.y.dtype, device=device)
                self._batch.measure(shape, calls)
        return self._batch.of(shape)
