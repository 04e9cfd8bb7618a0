"""Continuous batching: many images under way at once, each with a frontier and a window of states.

One round is one network batch: the due states of images of one shape. Images that end leave the batch, and waiting
images take their places at once. Window 1 is the sequential chain, batched over images; window T is the joint map.
"""

from __future__ import annotations

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

from .batch_size import BatchSize, BatchSizes
from .chain_start import Planned, span_of, start_and_guess
from .image_state import ImageState
from .requests import Failed, Request, Result, Shape, Tally
from .round import run_round
from .scheduler import Batch, Fate, PutOff, Scheduler
from .tiling import Tilings, tiled
from .windows import Windows

Tag = TypeVar("Tag")

CHAINS: Final = 64
"""Most chains in memory; each image with estimated noise has a start noise of its own."""


class Engine:
    """Restores a stream of images of any sizes and operators; each result is the same as for the image alone.

    It is the same up to rounding: sums over another batch are taken in another order, which in float32 moves a result
    by parts in 10^6 of its range.

    Args:
        prior: A `Prior`, or any `Denoiser`.
        batch_size: The measured batch size of another engine with the same prior and settings; None: a new one.
    """

    def __init__(self, prior: Prior | Denoiser, settings: Settings, *, batch_size: BatchSize | None = None) -> None:
        self.prior, self.settings = prior, settings
        self._tilings = Tilings(prior, tile=settings.tile, overlap=settings.overlap)
        size = BatchSize() if batch_size is None else batch_size
        self._sizes = BatchSizes(prior=prior, settings=settings, tilings=self._tilings, a_call=size)
        self._chains: dict[tuple[float, float, int, bool], Chain] = {}

    @torch.inference_mode()
    def run(
        self, requests: Iterable[Request[Tag]], *, tally: Tally | None = None, images: int | None = None
    ) -> Iterator[Result[Tag] | Failed[Tag]]:
        """Yield the result of each request, in the order in which they end.

        An image that finds no memory, or whose operator cannot invert it, ends alone, as `Failed`.
        Requests are taken only while there is room for them, on the calling thread.

        Args:
            requests: May be endless, and slow.
            images: Most requests to come, if known; of a list it is the length. The last requests are then taken
                early, with at most two batches under way, and share batches evenly.

        Raises:
            ValueError: An operator does not fit its image, or a setting is out of range.
            PriorError: The prior does not know noise as strong as a start's.
        """
        tally = Tally() if tally is None else tally
        scheduler = Scheduler(
            map(self._planned, requests),
            Windows.of(self.settings, replicas=self._sizes.replicas),
            lambda planned: self._sizes.of(planned.request),
            together=self.settings.mode != "paper",
            images=len(requests) if isinstance(requests, Sized) else images,
        )
        while batch := scheduler.schedule():
            began = time.perf_counter()
            fates = self._further(batch, tally)
            tally.seconds += time.perf_counter() - began
            scheduler.update(batch, fates)
            ended = [fate for fate in fates if isinstance(fate, Result | Failed)]
            tally.images += len(ended)
            yield from ended

    def _further(self, batch: Batch[Tag], tally: Tally) -> list[Fate[Tag]]:
        """Take the images of a batch one round further; return the fate of each, in their order."""
        started = list[ImageState[Tag]]()
        try:
            if self.settings.mode == "paper":
                return [self._as_published(*batch.starting, tally=tally)]
            return self._round(batch, started, tally)
        except Exception as error:
            if not concerns_images(error):
                raise
            failure = _bare(error)
        # the round's frames held memory until the error let go of them; the rest needs it
        running, starting = (*batch.running, *started), batch.starting[len(started) :]
        batch = replace(batch, running=running, starting=starting)
        if not isinstance(failure, ConvergenceError):
            return self._make_room(batch, tally, failure)
        if len(batch.images) == 1:
            return [Failed(tag=_planned_of(batch).request.tag, shape=batch.shape, error=failure)]
        return [fate for part in batch.parts() for fate in self._further(part, tally)]

    def _round(self, batch: Batch[Tag], started: list[ImageState[Tag]], tally: Tally) -> list[Fate[Tag]]:
        """Run one round; `started` receives the states of images that start, also if the round then fails."""
        began, settings = time.perf_counter(), self.settings
        for planned in batch.starting:
            here = self._placed(planned)
            state = ImageState(
                here,
                self._sampler(here),
                SURROGATES[settings.surrogate],
                tolerance=settings.tolerance,
                max_rounds=settings.max_rounds or here.chain.steps,
                alone=batch.alone,
                bounded=settings.within_range,
            )
            started.append(state)
        states = (*batch.running, *started)
        run_round(self._network(batch.shape), states, window=batch.window, batch=batch.size, tally=tally)
        self._tilings.settle()
        seconds = (time.perf_counter() - began) / len(states)
        for state in states:
            state.seconds += seconds
        return [self._with_tile(state.result(), batch.shape) if state.done else state for state in states]

    def _as_published(self, planned: Planned[Tag], *, tally: Tally) -> Result[Tag]:
        began, here = time.perf_counter(), self._placed(planned)
        sampler = self._sampler(here)
        x_0, stats = published(sampler, y=here.request.y, tolerance=self.settings.tolerance)
        tally.rounds += stats.rounds
        for k in range(stats.rounds):
            tally.count(sampler.chain.steps - k, batch=sampler.denoiser_batch)
        seconds = time.perf_counter() - began
        result = here.result(image=x_0, start=sampler.start[0], stats=stats, seconds=seconds)
        return self._with_tile(result, planned.shape)

    def _make_room(self, batch: Batch[Tag], tally: Tally, error: Exception) -> list[Fate[Tag]]:
        """Answer a lack of memory: halve the batch; put a single image off; cut an image that is alone into tiles."""
        planned = _planned_of(batch)
        free_cached_memory(self._sizes.device_of(planned.request))
        if self._sizes.halve(batch.shape, min(batch.evaluations, batch.size)):
            tally.halvings += 1
            return list(batch.images)
        if not batch.alone:
            return [PutOff(planned)]
        if self._tilings.halve(batch.shape):
            tally.halvings += 1
            return [PutOff(planned)]
        return [Failed(tag=planned.request.tag, shape=batch.shape, error=error)]

    def sampler(self, request: Request[Tag]) -> Sampler:
        """Return the chain of one image, for callers who do more with it than `run` does.

        Raises:
            ValueError, PriorError: As for `run`.
        """
        return self._sampler(self._planned(request))

    def _sampler(self, planned: Planned[Tag]) -> Sampler:
        request, chain, device = planned.request, planned.chain, self._sizes.device_of(planned.request)
        A, y = request.operator, sent(request.y, device)[None]
        pinv_y = A.pinv(y)
        start, guess = start_and_guess(planned, self.prior, y, pinv_y)
        noise = chain_noise([request.seed], start.shape[1:], chain.steps, dtype=y.dtype, device=device)
        return Sampler(
            denoiser=self._network(planned.shape),
            A=A,
            chain=chain,
            pinv_y=pinv_y,
            start=start,
            guess=guess,
            sigma_y=y.new_full((1,), request.sigma_y) if request.sigma_y else None,
            noise=torch.zeros_like(noise) if planned.span.direct else noise,
            denoiser_batch=self._sizes.of(request),
        )

    def _planned(self, request: Request[Tag]) -> Planned[Tag]:
        """Return a request with its chain."""
        given = request.start is not None
        span = span_of(self.settings, request.operator, self.prior, given=given, sigma_y=request.sigma_y)
        ends = span.noise, span.end, span.steps, span.direct
        if ends not in self._chains:
            if isinstance(self.prior, Prior):
                self.prior.check_noise(span.noise)
            if len(self._chains) >= CHAINS:
                del self._chains[next(iter(self._chains))]
            self._chains[ends] = Chain.between(
                span.noise,
                span.end,
                steps=span.steps,
                eta=self.settings.eta,
                kappa=self.settings.kappa,
                prior_error=0.0 if span.direct else self.settings.prior_error,
            )
        return Planned(request=request, shape=request.shape, span=span, chain=self._chains[ends])

    def _placed(self, planned: Planned[Tag]) -> Planned[Tag]:
        """Return a request whose y, which is needed at the start and at the end, is on the device of the chain."""
        request = planned.request
        return replace(planned, request=replace(request, y=sent(request.y, self._sizes.device_of(request))))

    def _network(self, image: Shape) -> Prior | Denoiser:
        """Return the prior, which sees images of this shape in tiles if they are cut."""
        tiling = self._tilings.of(image)
        return self.prior if tiling is None else tiled(self.prior, tiling, batch=self._sizes.of_a_call(image))

    def _with_tile(self, result: Result[Tag], image: Shape) -> Result[Tag]:
        tiling = self._tilings.of(image)
        return result if tiling is None else replace(result, stats=replace(result.stats, tile=tiling.tile))


def _planned_of(batch: Batch[Tag]) -> Planned[Tag]:
    """Return the first request of a batch."""
    return batch.running[0].planned if batch.running else batch.starting[0]


def _bare(error: Exception) -> Exception:
    """Return an error without its causes and its traceback, whose frames hold the tensors of a round."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
