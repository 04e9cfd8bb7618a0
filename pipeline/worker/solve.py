"""An image's second third: the engine restores observations of any sizes."""

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
from deqir.gradients.optimise import Optimised
from deqir.hardware.memory import out_of_memory
from deqir.pretrained.real_esrgan import RealEsrgan
from deqir.protocols import Outcome
from deqir.results import misfit_or_nan
from deqir.sampling.samples import Samples, sample_seed
from pipeline.errors import ImageError, NonFiniteError, OperatorMismatchError, OutOfMemoryError
from pipeline.inputs.frame import scene_of, shown
from pipeline.inputs.guides import Guidance
from pipeline.manifest.schema import ManifestRow

from .read import Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A restored image, to be written.

    Attributes:
        prepared: The image as it was read.
        row: The image's row as far as it is known.
        image, start: The result, and the start of its chain without a guide or a network, both cut to the frame of
            the source, shape (3, H, W), about [-1, 1].
        samples: All samples of the image, `image` being the first; None for a single restoration.
    """

    prepared: Prepared
    row: ManifestRow
    image: Tensor
    start: Tensor
    samples: Samples | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsolved:
    """An image without a restoration, and the reason."""

    row: ManifestRow
    error: ImageError


class _Sample(NamedTuple):
    """The image and the sample of a request."""

    prepared: Prepared
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """Restores images as they come.

    Attributes:
        engine: The method with its settings and its prior.
        seed: The job's seed.
        samples: Restorations of each image.
        guidance: Optimisation of restorations, if any. Images with guides start from them.
        upscaler: Network that makes a guide for each image, if any.
    """

    engine: Engine
    seed: int
    samples: int = 1
    guidance: Guidance | None = None
    upscaler: RealEsrgan | None = None

    def __call__(self, images: Iterable[Prepared], tally: Tally, /, *, most: int) -> Iterator[Restored | Unsolved]:
        """Yield each image restored or unsolved, in the order of completion; takes images only as there is room.

        Args:
            images: To be restored, as they come.
            tally: Counters, which grow meanwhile.
            most: Largest number of images to come, so that the last images can share batches.
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
        """Return an image, with a new guide if the job makes guides."""
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
        """Return an image restored or unsolved, out of its finished samples; the row describes the first sample."""
        results.sort(key=lambda result: result.tag.number)
        prepared = results[0].tag.prepared
        row, done = prepared.row, list[Result[_Sample]]()
        for result in results:
            if isinstance(result, Failed):
                return Unsolved(row=row, error=_given_up(row, result.error))
            done.append(result)
        first = done[0]
        stats = first.stats
        row = replace(
            row,
            steps=first.steps,
            start_noise=first.start_noise,
            window=stats.window,
            tile=stats.tile,
            nfe=sum(result.stats.nfe for result in done),
            rounds=stats.rounds,
            converged=stats.converged,
            fallback=stats.fallback,
            residual_final=stats.residual_final,
            residual_history=list(stats.residual_history),
            frontier_history=list(stats.frontier_history),
            useful=stats.useful,
            data_consistency=stats.data_consistency,
            solve_seconds=(row.solve_seconds or 0) + sum(result.seconds for result in done),
        )
        if any(result.stats.outcome is Outcome.NONFINITE for result in done):
            text = f"the restoration held nan or inf after {stats.rounds} rounds; nothing was written"
            return Unsolved(row=row, error=NonFiniteError(text))
        images = [result.image for result in done]
        if self.guidance is not None:
            before = tally.seconds
            try:
                found = self._optimised(prepared, self.guidance, tally)
                images = [each.images[0] for each in found]
                misfit = misfit_or_nan(prepared.operator, images[0], prepared.y)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                return Unsolved(row=row, error=_no_memory(row, "optimising"))
            row = replace(
                row,
                loss_first=found[0].stats[0].loss_first,
                loss_best=found[0].stats[0].loss_best,
                data_consistency=misfit,
                nfe=(row.nfe or 0) + sum(each.stats[0].nfe for each in found),
                solve_seconds=(row.solve_seconds or 0) + tally.seconds - before,
            )
        images = [shown(image, prepared.operator).to(prepared.y.device) for image in images]
        samples = Samples(images=torch.stack(images)) if len(images) > 1 else None
        if samples is not None:
            row = replace(row, samples=len(images), spread=float(samples.spread.mean() / 2))
        start = first.start
        if first.start_kind is not StartKind.OWN:  # the manifest compares with a start that no network made
            (start,) = own_start(prepared.operator, prepared.y[None], prepared.sigma_y)
        start = shown(start, prepared.operator).to(prepared.y.device)
        return Restored(prepared=prepared, row=row, image=images[0], start=start, samples=samples)

    def _optimised(self, prepared: Prepared, guidance: Guidance, tally: Tally) -> list[Optimised]:
        """Return each sample of an image with its noise optimised."""
        began = time.perf_counter()
        found = [guidance(self.engine, request, prepared.guide, tally) for request in self._requests(prepared)]
        tally.seconds += time.perf_counter() - began
        return found


def _given_up(row: ManifestRow, error: Exception) -> ImageError:
    return _no_memory(row, "restoring") if out_of_memory(error) else OperatorMismatchError(str(error))


def _no_memory(row: ManifestRow, what: str) -> OutOfMemoryError:
    return OutOfMemoryError(
        f"{what} {row.width} x {row.height} pixels needs more memory than there is, even alone; "
        "use a machine or a GPU with more, or smaller images"
    )
