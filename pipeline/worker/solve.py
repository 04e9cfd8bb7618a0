"""An image's middle: observations of any sizes through the engine, and what became of each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from deqir import Engine, Failed, Request, Result, Tally, image_seed
from deqir.engine.chain_start import own_start
from deqir.engine.requests import StartKind
from deqir.hardware.memory import out_of_memory
from deqir.pretrained.real_esrgan import RealEsrgan
from deqir.protocols import Outcome
from deqir.results import misfit_or_nan
from deqir.sampling.samples import Samples, sample_seed
from pipeline.errors import ImageError, NonFiniteError, OperatorMismatchError, OutOfMemoryError
from pipeline.inputs.frame import scene_of, shown
from pipeline.inputs.guides import Guidance
from pipeline.manifest.rows import with_stats
from pipeline.manifest.schema import ManifestRow

from .read import Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """An image that was restored and is to be written.

    Attributes:
        prepared: Where it came from.
        row: What is known so far.
        image, start: The result and what the chain starts from without a guide or a network, what its source shows of
            them, shape (3, H, W), about [-1, 1].
        samples: All of the image's, `image` the first of them, where there are to be several.
    """

    prepared: Prepared
    row: ManifestRow
    image: Tensor
    start: Tensor
    samples: Samples | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsolved:
    """An image that could not be restored, and why."""

    row: ManifestRow
    error: ImageError


class _Sample(NamedTuple):
    """What a request is for."""

    prepared: Prepared
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """Restores images as they come.

    Attributes:
        engine: The method with its settings and its prior.
        seed: The job's seed.
        samples: Restorations of each image.
        guidance: How they are optimised, if they are. Those that have guides start from them.
        upscaler: What makes the guides of those that came without.
    """

    engine: Engine
    seed: int
    samples: int = 1
    guidance: Guidance | None = None
    upscaler: RealEsrgan | None = None

    def __call__(self, images: Iterable[Prepared], tally: Tally, /, *, most: int) -> Iterator[Restored | Unsolved]:
        """Yield what became of each image, in the order in which they are done; takes them only as it has room.

        Args:
            images: To be restored, as they come.
            tally: Counts what happens.
            most: Images that may come, so that the last ones can share batches.
        """
        waiting, hopeless = dict[int, list[Result[_Sample] | Failed[_Sample]]](), deque[Unsolved]()

        def requests() -> Iterator[Request[_Sample]]:
            for image in images:
                guided = self._guided(image, tally)
                if isinstance(guided, Unsolved):
                    hopeless.append(guided)
                else:
                    yield from self._requests(guided)

        for result in self.engine.run(requests(), tally=tally, images=most * self.samples):
            image = id(result.tag.prepared)  # unique, as its results keep it alive
            waiting.setdefault(image, []).append(result)
            if len(waiting[image]) == self.samples:
                yield self._ended(waiting.pop(image), tally)
            while hopeless:
                yield hopeless.popleft()
        yield from hopeless

    @torch.inference_mode()
    def _guided(self, prepared: Prepared, tally: Tally) -> Prepared | Unsolved:
        """Return an image with a guide, where one is to be made."""
        if self.upscaler is None:
            return prepared
        began, row = time.perf_counter(), prepared.row
        _, height, width = prepared.operator.image_shape(tuple(prepared.y.shape))
        try:
            (guide,) = self.upscaler.enlarged(prepared.y[None], (height, width))
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            return Unsolved(row=row, error=_no_memory(row, "enlarging"))
        seconds = time.perf_counter() - began
        tally.seconds += seconds
        return replace(prepared, guide=guide, row=replace(row, solve_seconds=seconds))

    def _requests(self, prepared: Prepared) -> Iterator[Request[_Sample]]:
        seed = image_seed(self.seed, str(prepared.row.source_sha256))
        start = None
        if prepared.guide is not None:
            start = scene_of(prepared.guide[None], prepared.operator)[0]
        for number in range(self.samples):
            yield Request(
                y=prepared.y,
                operator=prepared.operator,
                seed=sample_seed(seed, number),
                tag=_Sample(prepared, number),
                sigma_y=prepared.sigma_y,
                start=start,
            )

    def _ended(self, results: list[Result[_Sample] | Failed[_Sample]], tally: Tally) -> Restored | Unsolved:
        """Return what became of an image of which all samples are done; the first one stands for it."""
        results.sort(key=lambda result: result.tag.number)
        prepared = results[0].tag.prepared
        row, done = prepared.row, list[Result[_Sample]]()
        for result in results:
            if isinstance(result, Failed):
                return Unsolved(row=row, error=_given_up(row, result.error))
            done.append(result)
        first = done[0]
        seconds = (row.solve_seconds or 0) + sum(result.seconds for result in done)
        row = with_stats(row, first.stats, seconds=seconds)
        row = replace(row, nfe=sum(r.stats.nfe for r in done), steps=first.steps, start_noise=first.start_noise)
        if any(result.stats.outcome is Outcome.NONFINITE for result in done):
            text = f"the restoration held nan or inf after {first.stats.rounds} rounds; nothing was written"
            return Unsolved(row=row, error=NonFiniteError(text))
        images = [result.image for result in done]
        if self.guidance is not None:
            try:
                images, row = self._optimised(prepared, row, self.guidance, tally)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                return Unsolved(row=row, error=_no_memory(row, "optimising"))
        images = [shown(image, prepared.operator).to(prepared.y.device) for image in images]
        samples = Samples(images=torch.stack(images)) if len(images) > 1 else None
        if samples is not None:
            row = replace(row, samples=len(images), spread=float(samples.spread.mean() / 2))
        start = first.start
        if first.start_kind is not StartKind.OWN:  # the manifest compares with a start that no network made
            (start,) = own_start(prepared.operator, prepared.y[None], prepared.sigma_y)
        start = shown(start, prepared.operator).to(prepared.y.device)
        return Restored(prepared=prepared, row=row, image=images[0], start=start, samples=samples)

    def _optimised(
        self, prepared: Prepared, row: ManifestRow, guidance: Guidance, tally: Tally
    ) -> tuple[list[Tensor], ManifestRow]:
        """Return the samples of an image with their noise optimised, and the row with what that brought and cost."""
        began = time.perf_counter()
        found = [guidance(self.engine, request, prepared.guide, tally) for request in self._requests(prepared)]
        seconds = time.perf_counter() - began
        tally.seconds += seconds
        first = found[0].stats[0]
        row = replace(
            row,
            loss_first=first.loss_first,
            loss_best=first.loss_best,
            data_consistency=misfit_or_nan(prepared.operator, found[0].images[0], prepared.y),
            nfe=(row.nfe or 0) + sum(one.stats[0].nfe for one in found),
            solve_seconds=(row.solve_seconds or 0) + seconds,
        )
        return [one.images[0] for one in found], row


def _given_up(row: ManifestRow, error: Exception) -> ImageError:
    return _no_memory(row, "restoring") if out_of_memory(error) else OperatorMismatchError(str(error))


def _no_memory(row: ManifestRow, what: str) -> OutOfMemoryError:
    return OutOfMemoryError(
        f"{what} {row.width} x {row.height} pixels needs more memory than there is, even alone; "
        "use a machine or a GPU with more, or smaller images"
    )
