"""An image's second third: the engine restores observations of any sizes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from deqir import Engine, Failed, Request, Result, Tally, image_seed
from deqir.engine.chain_start import own_start
from deqir.engine.requests import StartKind
from deqir.gradients.optimise import Optimised
from deqir.hardware.memory import out_of_memory
from deqir.pretrained.real_esrgan import RealEsrgan
from deqir.protocols import Outcome
from deqir.sampling.samples import Samples, sample_seed
from pipeline.config import ResultConfig
from pipeline.errors import ImageError, NonFiniteError, OperatorMismatchError, OutOfMemoryError
from pipeline.inputs.frame import scene_of, shown
from pipeline.inputs.guides import Guidance
from pipeline.inputs.treatment import Stage
from pipeline.manifest.rows import failed
from pipeline.manifest.schema import ManifestRow

from .read import Prepared
from .stages import with_solve

MOST_PIXELS: Final = 2**26
"""Pixels of a group of images between their stages: 800 MB."""
NO_OVERRIDES: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A restored image, to be written.

    Attributes:
        prepared: The image as it was read.
        row: The image's row as far as it is known.
        image, start: The result, and the start of its chain without a guide or a network, both cut to the frame of
            the source, shape (3, H, W), about [-1, 1].
        scene: The result as the last stage's operator takes it, also beyond the frame.
        samples: All samples of the image, `image` being the first; None for a single restoration.
    """

    prepared: Prepared
    row: ManifestRow
    image: Tensor
    scene: Tensor
    start: Tensor
    samples: Samples | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """An image before one of its stages.

    Attributes:
        row: The image's row, with the sums of the stages before.
        y: The observation of this stage: the image as it was read, or the result of the stage before.
        level: Number of the stage, from 0 on.
    """

    prepared: Prepared
    row: ManifestRow
    y: Tensor
    level: int = 0

    @property
    def stage(self) -> Stage:
        return self.prepared.stages[self.level]

    @property
    def is_last(self) -> bool:
        return self.level + 1 == len(self.prepared.stages)


class _Sample(NamedTuple):
    """The image and the sample of a request."""

    work: Work
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """Restores images as they come.

    Attributes:
        engine: The method with its settings and its prior.
        result: Settings of the result, among them the seed and the number of samples.
        guidance: Optimisation of restorations, if any. Images with guides start from them.
        upscaler: Network that makes a guide for each image, if any.
        staged: Images may have several stages or settings of their own; they are then restored in groups.
    """

    engine: Engine
    result: ResultConfig
    guidance: Guidance | None
    upscaler: RealEsrgan | None
    staged: bool = False
    _engines: dict[tuple[tuple[str, Any], ...], Engine] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, images: Iterable[Prepared], tally: Tally, /, *, most: int) -> Iterator[Restored | ManifestRow]:
        """Yield each image restored, or its row if that failed, in the order of completion.

        It takes images only as there is room.

        Args:
            images: To be restored, as they come.
            tally: Counters, which grow meanwhile.
            most: Largest number of images to come, so that the last images can share batches.
        """
        works = (Work(prepared=image, row=image.row, y=image.y) for image in images)
        if not self.staged:
            for end in self._stage(works, tally, most=most):
                assert not isinstance(end, Work)  # images have a single stage
                yield end
            return
        for group in _groups(works):
            yield from self._through(group, tally)

    def _through(self, works: Sequence[Work], tally: Tally) -> Iterator[Restored | ManifestRow]:
        """Yield the end of each image of a group, after all its stages."""
        while works:
            alike, further = dict[str, list[Work]](), list[Work]()
            for work in works:
                alike.setdefault(repr(sorted(work.stage.settings.items())), []).append(work)
            for some in alike.values():
                for end in self._stage(iter(some), tally, most=len(some), settings=some[0].stage.settings):
                    if isinstance(end, Work):
                        further.append(end)
                    else:
                        yield end
            works = further

    def _stage(
        self, works: Iterator[Work], tally: Tally, *, most: int, settings: Mapping[str, Any] = NO_OVERRIDES
    ) -> Iterator[Restored | ManifestRow | Work]:
        """Yield each image after one stage: restored, before its next stage, or its row if it failed."""
        waiting, hopeless = dict[int, list[Result[_Sample] | Failed[_Sample]]](), deque[ManifestRow]()

        def requests() -> Iterator[Request[_Sample]]:
            for work in works:
                guided = self._guided(work, tally)
                if isinstance(guided, ManifestRow):
                    hopeless.append(guided)
                else:
                    yield from self._requests(guided)

        engine = self._engine_of(settings)
        for result in engine.run(requests(), tally=tally, images=most * self.result.samples):
            work = result.tag.work
            found = waiting.setdefault(id(work), [])  # unique, as its results keep it alive
            found.append(result)
            if len(found) == self._samples_of(work):
                yield self._ended(waiting.pop(id(work)), tally)
            while hopeless:
                yield hopeless.popleft()
        yield from hopeless

    def _engine_of(self, settings: Mapping[str, Any]) -> Engine:
        """Return the engine with some settings other than the job's."""
        if not settings:
            return self.engine
        key = tuple(sorted(settings.items()))
        if key not in self._engines:
            self._engines[key] = Engine(self.engine.prior, replace(self.engine.settings, **settings))
        return self._engines[key]

    def _samples_of(self, work: Work) -> int:
        """Return the number of samples of a stage: one but for the last stage."""
        return self.result.samples if work.is_last else 1

    @torch.inference_mode()
    def _guided(self, work: Work, tally: Tally) -> Work | ManifestRow:
        """Return an image, with a new guide if the job makes guides; its row if that failed."""
        if self.upscaler is None:
            return work
        began, row = time.perf_counter(), work.row
        _, height, width = work.stage.operator.image_shape(tuple(work.y.shape))
        try:
            (guide,) = self.upscaler.enlarged(work.y[None], (height, width))
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            return failed(row, _no_memory(row, "enlarging"))
        seconds = time.perf_counter() - began
        tally.seconds += seconds
        return replace(work, prepared=replace(work.prepared, guide=guide), row=replace(row, solve_seconds=seconds))

    def _requests(self, work: Work) -> Iterator[Request[_Sample]]:
        stage, guide = work.stage, work.prepared.guide
        seed = image_seed(self.result.seed, str(work.row.source_sha256))
        seed = image_seed(seed, f"stage {work.level}") if work.level else seed
        start = None if guide is None else scene_of(guide[None], stage.operator)[0]
        for number in range(self._samples_of(work)):
            yield Request(
                y=work.y,
                operator=stage.operator,
                seed=sample_seed(seed, number),
                tag=_Sample(work, number),
                sigma_y=stage.sigma_y,
                start=start,
            )

    def _ended(self, results: list[Result[_Sample] | Failed[_Sample]], tally: Tally) -> Restored | ManifestRow | Work:
        """Return an image restored from its finished samples, before its next stage, or its failed row.

        A row describes the first sample.
        """
        results.sort(key=lambda result: result.tag.number)
        work = results[0].tag.work
        row, operator, done = work.row, work.stage.operator, list[Result[_Sample]]()
        for result in results:
            if isinstance(result, Failed):
                return failed(row, _given_up(row, result.error))
            done.append(result)
        row = with_solve(row, done)
        if any(result.stats.outcome is Outcome.NONFINITE for result in done):
            text = f"the restoration held nan or inf after {done[0].stats.rounds} rounds; nothing was written"
            return failed(row, NonFiniteError(text))
        if not work.is_last:
            y = shown(done[0].image, operator).clamp(-1, 1).to(work.y.device)
            return Work(prepared=work.prepared, row=row, y=y, level=work.level + 1)
        images = [result.image for result in done]
        if self.guidance is not None:
            before = tally.seconds
            try:
                found = self._optimised(work, self.guidance, tally)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                return failed(row, _no_memory(row, "optimising"))
            images = [each.images[0] for each in found]
            row = replace(
                row,
                loss_first=found[0].stats[0].loss_first,
                loss_best=found[0].stats[0].loss_best,
                nfe=(row.nfe or 0) + sum(each.stats[0].nfe for each in found),
                solve_seconds=(row.solve_seconds or 0) + tally.seconds - before,
            )
        return self._restored(work, row, images, done[0])

    def _restored(self, work: Work, row: ManifestRow, images: list[Tensor], first: Result[_Sample]) -> Restored:
        """Return an image after its last stage, in the frame of its source."""
        given, operator = work.prepared.y, work.stage.operator
        scene = images[0].to(given.device)
        images = [shown(image, operator).to(given.device) for image in images]
        samples = Samples(images=torch.stack(images)) if len(images) > 1 else None
        if samples is not None:
            row = replace(row, samples=len(images), spread=float(samples.spread.mean() / 2))
        start = first.start
        if first.start_kind is not StartKind.OWN or work.level:  # the manifest compares with no network's start
            (start,) = own_start(operator, given[None], work.stage.sigma_y)
        start = shown(start, operator).to(given.device)
        return Restored(prepared=work.prepared, row=row, image=images[0], scene=scene, start=start, samples=samples)

    def _optimised(self, work: Work, guidance: Guidance, tally: Tally) -> list[Optimised]:
        """Return each sample of an image with its noise optimised."""
        began = time.perf_counter()
        found = [guidance(self.engine, request, work.prepared.guide, tally) for request in self._requests(work)]
        tally.seconds += time.perf_counter() - began
        return found


def _groups(works: Iterator[Work]) -> Iterator[list[Work]]:
    """Yield images in groups of bounded size, for which there is room in memory between their stages."""
    group, pixels = list[Work](), 0
    for work in works:
        group.append(work)
        pixels += (work.row.width or 0) * (work.row.height or 0)
        if pixels >= MOST_PIXELS:
            yield group
            group, pixels = [], 0
    if group:
        yield group


def _given_up(row: ManifestRow, error: Exception) -> ImageError:
    return _no_memory(row, "restoring") if out_of_memory(error) else OperatorMismatchError(str(error))


def _no_memory(row: ManifestRow, what: str) -> OutOfMemoryError:
    return OutOfMemoryError(
        f"{what} {row.width} x {row.height} pixels needs more memory than there is, even alone; "
        "use a machine or a GPU with more, or smaller images"
    )
