"""Continuous batching: many images on their way at once, each with a frontier and a window of states.

One round is one network batch of whatever is due of images of one shape. Images that are done leave it and waiting
ones enter at once. Window 1 is the sequential chain, batched over images; window T the joint map.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import replace
from typing import Final, TypeVar

import torch

from deqir.fixed_point.published import published
from deqir.hardware.devices import sent
from deqir.hardware.memory import free_cached_memory
from deqir.operators import ConvergenceError
from deqir.priors.prior import Prior
from deqir.protocols import Denoiser
from deqir.results import concerns_images
from deqir.sampling.chain import Chain
from deqir.sampling.noise import chain_noise
from deqir.sampling.sampler import Sampler
from deqir.settings import SURROGATES, Settings

from .chain_start import Span, span_of, starts
from .image_state import Flight
from .requests import Failed, Request, Result, Tally
from .round import fly
from .round_timing import Measured, Pacing
from .scheduler import Crew, Pool, Shape, shape_of
from .tiling import Tilings, tiled
from .windows import Pace, Windows

Tag = TypeVar("Tag")

CHAINS: Final = 64
"""Chains that are kept: images whose noise was estimated begin with noise of their own each."""


class Engine:
    """Restores a stream of images of any sizes and operators; each result is that of the image alone.

    "That of the image alone" holds up to rounding: sums over another batch are taken in another order, which in
    float32 moves a result by parts in 10^6 of its range.

    Args:
        prior: A `Prior`, or any `Denoiser`.
        settings: The same for all images.
        measured: What another engine of the same prior and settings has found out; it is added to.
    """

    def __init__(self, prior: Prior | Denoiser, settings: Settings, *, measured: Measured | None = None) -> None:
        self.prior, self.settings = prior, settings
        self._tilings = Tilings(prior, tile=settings.tile, overlap=settings.overlap)
        measured = Measured() if measured is None else measured
        self._pacing = Pacing(prior=prior, settings=settings, tilings=self._tilings, measured=measured)
        self._chains: dict[Span, Chain] = {}

    @torch.inference_mode()
    def run(
        self, requests: Iterable[Request[Tag]], *, tally: Tally | None = None, images: int | None = None
    ) -> Iterator[Result[Tag] | Failed[Tag]]:
        """Yield the result of each request, in the order in which they are done.

        An image that finds no memory, or that its operator cannot invert, ends alone, as `Failed`.
        Requests are taken only while there is room for them, on the calling thread.

        Args:
            requests: May be endless, and slow.
            tally: Counts what happens; one for each run.
            images: Most requests that there will be, where `requests` has no length and it is known. The last ones
                are then taken early, at most two batches being under way, and share batches evenly.

        Raises:
            ValueError: An operator does not fit its image, or a setting is out of range.
            PriorError: The prior does not know noise as strong as a start's.
        """
        images = len(requests) if isinstance(requests, Sized) else images
        tally, requests = Tally() if tally is None else tally, iter(requests)
        first = next(requests, None)
        if first is None:
            return
        pacing = self._pacing
        windows = Windows.of(self.settings, pacing.device_of(first), replicas=pacing.replicas)
        together = self.settings.mode != "paper"
        everything = itertools.chain([first], requests)
        pool = Pool(everything, windows, pacing.batch_of, self._steps_of, self._pace_of, crowd=together, images=images)
        while crew := pool.crew():
            began = time.perf_counter()
            ended = self._ended(crew, pool, tally)
            tally.seconds += time.perf_counter() - began
            tally.images += len(ended)
            yield from ended

    def _ended(self, crew: Crew[Tag], pool: Pool[Tag], tally: Tally) -> list[Result[Tag] | Failed[Tag]]:
        """Take a crew further, whatever becomes of any one image, and return those that are done or given up."""
        try:
            if self.settings.mode == "paper":
                return [self._as_published(crew, pool, tally)]
            return self._round(crew, pool, tally)
        except Exception as error:
            if not concerns_images(error):
                raise
            failure = _bare(error)
        # what follows needs the memory that the round's frames held until the error let go of them
        if not isinstance(failure, ConvergenceError):
            return self._make_room(crew, pool, tally, failure)
        if crew.images == 1:
            return [Failed(tag=pool.let_go(crew).tag, shape=crew.shape, error=failure)]
        return [one for part in crew.parts() for one in self._ended(part, pool, tally)]

    def _round(self, crew: Crew[Tag], pool: Pool[Tag], tally: Tally) -> list[Result[Tag] | Failed[Tag]]:
        """Take a crew one round further and return those that are done."""
        began, settings = time.perf_counter(), self.settings
        for request in list(crew.starting):
            here = self._placed(request)
            sampler = self.sampler(here)
            flight = Flight(
                here,
                sampler,
                SURROGATES[settings.surrogate],
                tolerance=settings.tolerance,
                max_rounds=settings.max_rounds or sampler.chain.steps,
                alone=crew.alone,
            )
            pool.start(crew, request, flight)
        fly(self._network(crew.shape), crew.flying, window=crew.window, batch=crew.batch, tally=tally)
        self._tilings.settle()
        seconds = (time.perf_counter() - began) / crew.images
        for flight in crew.flying:
            flight.seconds += seconds
        done = [flight for flight in crew.flying if flight.done]
        results: list[Result[Tag] | Failed[Tag]] = [self._with_tile(flight.result(), crew.shape) for flight in done]
        for flight in done:
            pool.end(flight)
        return results

    def _as_published(self, crew: Crew[Tag], pool: Pool[Tag], tally: Tally) -> Result[Tag]:
        began, (request,) = time.perf_counter(), crew.starting
        here = self._placed(request)
        sampler = self.sampler(here)
        x_0, stats = published(sampler, y=here.y, tolerance=self.settings.tolerance)
        pool.drop(crew, request)
        tally.rounds += stats.rounds
        for k in range(stats.rounds):
            tally.count(sampler.chain.steps - k, batch=sampler.denoiser_batch)
        seconds = time.perf_counter() - began
        result = Result(tag=request.tag, image=x_0, start=sampler.start[0], stats=stats, seconds=seconds)
        return self._with_tile(result, crew.shape)

    def _make_room(
        self, crew: Crew[Tag], pool: Pool[Tag], tally: Tally, error: Exception
    ) -> list[Result[Tag] | Failed[Tag]]:
        """Memory ran out: halve the batch; where it was but one, restore the image alone, then in smaller tiles."""
        free_cached_memory(self._pacing.device_of(crew.first))
        if self._pacing.halve(crew.shape, min(crew.evaluations, crew.batch)):
            tally.halvings += 1
            return []
        alone = pool.put_off(crew)
        if alone is None:
            return []
        if self._tilings.halve(crew.shape):
            tally.halvings += 1
            pool.defer(alone)
            return []
        return [Failed(tag=alone.tag, shape=crew.shape, error=error)]

    def sampler(self, request: Request[Tag]) -> Sampler:
        """Return the chain of one image, for those who do more with it than `run` does.

        Raises:
            ValueError, PriorError: As for `run`.
        """
        A, device, chain = request.operator, self._pacing.device_of(request), self._chain(request)
        y = sent(request.y, device)[None]
        pinv_y = A.pinv(y)
        start, guess = starts(request, self.settings, self.prior, y, pinv_y)
        return Sampler(
            denoiser=self._network(shape_of(request)),
            A=A,
            chain=chain,
            pinv_y=pinv_y,
            start=start,
            guess=guess,
            sigma_y=y.new_full((1,), request.sigma_y) if request.sigma_y else None,
            noise=chain_noise([request.seed], start.shape[1:], chain.steps, dtype=y.dtype, device=device),
            denoiser_batch=self._pacing.batch_of(request),
        )

    def _chain(self, request: Request[Tag]) -> Chain:
        given = request.start is not None
        span = span_of(self.settings, request.operator, self.prior, given=given, sigma_y=request.sigma_y)
        if span not in self._chains:
            if isinstance(self.prior, Prior):
                self.prior.check_noise(span.noise)
            if len(self._chains) >= CHAINS:
                del self._chains[next(iter(self._chains))]
            self._chains[span] = Chain.between(span.noise, span.end, steps=span.steps, eta=self.settings.eta)
        return self._chains[span]

    def _steps_of(self, request: Request[Tag]) -> int:
        return self._chain(request).steps

    def _pace_of(self, request: Request[Tag]) -> Pace | None:
        return self._pacing.pace_of(request, self._chain(request))

    def _placed(self, request: Request[Tag]) -> Request[Tag]:
        """Return a request whose y, which is needed at the start and at the end, is where the arithmetic runs."""
        return replace(request, y=sent(request.y, self._pacing.device_of(request)))

    def _network(self, image: Shape) -> Prior | Denoiser:
        """Return the prior as it is to see images of a shape."""
        tiling = self._tilings.of(image)
        return self.prior if tiling is None else tiled(self.prior, tiling, batch=self._pacing.a_call(image))

    def _with_tile(self, result: Result[Tag], image: Shape) -> Result[Tag]:
        tiling = self._tilings.of(image)
        return result if tiling is None else replace(result, stats=replace(result.stats, tile=tiling.tile))


def _bare(error: Exception) -> Exception:
    """Return an error without what led to it, whose frames hold the tensors of a round."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
