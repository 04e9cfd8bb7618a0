"""One shard from start to commit: read ahead, restore, write behind, and the part last."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from torch import Tensor

from deqir import Tally
from deqir.estimation import check_fit, diagnose
from deqir.hardware.memory import out_of_memory
from pipeline.config import RuntimeConfig
from pipeline.errors import ImageError, NothingToRestoreError, OutOfMemoryError, ProcessDiedError
from pipeline.images.codec import Picture, decode
from pipeline.images.quantisation import loss_of, luma_table
from pipeline.inputs.frame import sides_of
from pipeline.inputs.guides import Guides
from pipeline.inputs.job_operator import Undoing
from pipeline.inputs.jpeg import jpeg_stage
from pipeline.inputs.noise import sigma_of
from pipeline.inputs.treatment import Stage, treatment_of
from pipeline.keys import Layout
from pipeline.manifest.rows import begun, failed, refused, report_of
from pipeline.manifest.schema import ManifestRow, encode_part
from pipeline.shards import ImageRef, Shard, ShardReport
from pipeline.status import Status
from pipeline.store import Store
from pipeline.threads import map_ahead, threads

from .doubt import with_misfit
from .read import Prepared, check_pixels, fetch, observe
from .solve import Restored, Solver
from .write import Delivery

WRITING_AHEAD: Final = 4
"""Images waiting for each writer, all samples counted, before the solver waits."""

OnRow = Callable[[Status], None]
Settle = Callable[[ManifestRow], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardWorker:
    """Runs shards of one job, one at a time. Holds no state between them.

    Attributes:
        source: Where the inputs are.
        destination: Where the parts go; outputs go there through `delivery`.
        layout: Keys of the parts.
        facts: Template of the rows, with the facts common to all rows of the job.
        runtime: Settings of the work, among them the largest input allowed and the images to read ahead of the solver.
        undoing: The operator of each image.
        guides: Images for restorations to start from or to be close to, if the job reads any.
        solver: Restores images, on the calling thread.
        delivery: Writes results, on threads behind the solver.
        writers: Threads for encoding and writing.
    """

    source: Store
    destination: Store
    layout: Layout
    facts: ManifestRow
    runtime: RuntimeConfig
    undoing: Undoing
    guides: Guides | None
    solver: Solver
    delivery: Delivery
    writers: int

    @property
    def name(self) -> str:
        """Machine, device and process, for people who watch."""
        return f"{platform.node()} {self.facts.device} process {os.getpid()}"

    def run(self, shard: Shard, on_row: OnRow, /) -> ShardReport:
        """Give every image of a shard its row, commit the shard by creating its part, return the counts.

        Safe to repeat and to race: outputs and parts are created, never overwritten, and an output of an
        earlier attempt is recognised. Any exception leaves the shard uncommitted.

        `on_row` is called by the calling thread with the status of each finished image.

        Raises:
            JobError: The job is at fault, not an image.
        """
        began = time.monotonic()
        if self.destination.head(self.layout.part(shard.id)) is not None:
            return ShardReport(shard_id=shard.id, already_committed=True)
        rows: list[ManifestRow] = []
        tally = Tally()

        def settle(row: ManifestRow) -> None:
            rows.append(row)
            on_row(Status(row.status))

        self._restore(shard.images, shard.id, settle, tally)
        return self.commit(shard.id, rows, tally, seconds=time.monotonic() - began)

    def restore_alone(self, ref: ImageRef, shard_id: str, tally: Tally, /) -> ManifestRow:
        """Return the row of a single image of a shard, for `commit`; safe to repeat and to race. `tally` grows.

        Raises:
            JobError: The job is at fault, not the image.
        """
        rows: list[ManifestRow] = []
        self._restore((ref,), shard_id, rows.append, tally)
        (row,) = rows
        return row

    def give_up(self, ref: ImageRef, shard_id: str, /) -> ManifestRow:
        """Return the row of an image whose restoration kills every process."""
        error = ProcessDiedError(
            "its process died twice while it was restored: it takes more memory than the machine has, or code below "
            "Python crashed on it; Ray's logs of that time say which"
        )
        return failed(begun(self.facts, ref, shard_id=shard_id), error)

    def commit(self, shard_id: str, rows: Sequence[ManifestRow], tally: Tally, /, *, seconds: float) -> ShardReport:
        """Create the part of a shard out of the rows of all its images, and return the counts.

        `tally` and `seconds` are the solver's counters and the wall time of these images.
        """
        began = time.monotonic()
        ours = self.destination.create(self.layout.part(shard_id), encode_part(rows))
        seconds += time.monotonic() - began
        if not ours:
            return ShardReport(shard_id=shard_id, already_committed=True, seconds=seconds)
        return report_of(shard_id, rows, tally, worker=self.name, seconds=seconds)

    def _restore(self, images: Sequence[ImageRef], shard_id: str, settle: Settle, tally: Tally) -> None:
        """Restore every image; `settle` gets each row in the order of completion."""
        prepare = partial(self._prepare, shard_id=shard_id)
        writing: deque[Future[ManifestRow]] = deque()
        most = max(1, WRITING_AHEAD * self.writers // self.solver.result.samples)
        with threads(self.runtime.prefetch, "read") as readers, threads(self.writers, "write") as writers:
            inputs = map_ahead(readers, prepare, images, ahead=self.runtime.prefetch)
            for result in self.solver(_prepared(inputs, settle), tally, most=len(images)):
                if isinstance(result, ManifestRow):
                    settle(result)
                else:
                    writing.append(writers.submit(self._deliver, result))
                while writing and (writing[0].done() or len(writing) > most):
                    settle(writing.popleft().result())
            for future in writing:
                settle(future.result())

    def _prepare(self, ref: ImageRef, *, shard_id: str) -> Prepared | ManifestRow:
        """Return an image ready to be restored; its row if it is refused or fails already."""
        row = begun(self.facts, ref, shard_id=shard_id)
        if ref.refusal is not None:
            return refused(row, ref)
        try:
            self.delivery.check_keys(str(ref.output_key))
            began = time.perf_counter()
            data = fetch(self.source, ref, self.runtime)
            digest = hashlib.sha256(data).hexdigest()
            row = replace(row, source_sha256=digest, fetch_seconds=time.perf_counter() - began)
            mask = self.undoing.mask_of(ref.key)
            row = replace(row, mask_sha256=self.undoing.mask_sha256 if mask is None else mask.sha256)
            guide_file = None if self.guides is None else self.guides.files.of(ref.key)
            if guide_file is not None:
                row = replace(row, guide_sha256=guide_file.sha256)
            self.delivery.check_free(str(ref.output_key), row)
            began = time.perf_counter()
            picture = decode(data, max_pixels=self.runtime.max_pixels)
            seconds = time.perf_counter() - began
            row = replace(row, image_mode=picture.mode, bit_depth=picture.bit_depth, decode_seconds=seconds)
            if self.undoing.is_jpeg:
                return self._decompressed(ref, data, row, picture)
            if self.undoing.is_auto:
                return self._treated(ref, data, row, picture)
            seen = observe(picture, self.undoing, mask, self.runtime)
            y, operator, guide = seen.y, seen.operator, None
            lost = loss_of(data)
            noise = self.undoing.with_loss(seen.noise, lost)
            height, width = sides_of(y, operator)
            row = replace(row, height=height, width=width)
            if self.guides is not None and guide_file is not None:
                guide = self.guides.fitted(guide_file, height=height, width=width)
            row = replace(row, noise=noise, operator_parameters=row.operator_parameters | dict(seen.found))
            misfit = check_fit(y, operator, sigma_y=2 * math.sqrt(max(0.0, noise**2 - lost**2)), jpeg_noise=2 * lost)
        except NothingToRestoreError as error:
            return self._unchanged(ref, data, replace(row, decisions=[f"nothing to restore: {error}"]))
        except ImageError as error:
            return failed(row, error)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            reason = "reading and checking it needs more memory than there is; run with a smaller prefetch"
            return failed(row, OutOfMemoryError(reason))
        stage = Stage(operator=operator, sigma_y=sigma_of(noise, operator, y))
        return Prepared(
            ref=ref,
            row=with_misfit(row, misfit),
            picture=picture,
            y=y,
            stages=(stage,),
            misfit=misfit,
            guide=guide,
            tone=seen.tone,
        )

    def _treated(self, ref: ImageRef, data: bytes, row: ManifestRow, picture: Picture) -> Prepared | ManifestRow:
        """Return an image with the treatment that it needs; its row, with its file copied, if it needs none.

        Raises:
            ImageTooLargeError: The restored image would have more pixels than the job allows.
        """
        pixels, scale = picture.pixels, self.undoing.degradation.scale

        def undo_jpeg() -> tuple[Tensor, Stage] | None:
            try:
                return jpeg_stage(data, picture, settings=self.solver.engine.settings)
            except NothingToRestoreError:
                return None

        found = self.undoing.with_noise(diagnose(pixels, luma_table=luma_table(data)))
        treatment = treatment_of(pixels, found, scale=scale, undo_jpeg=undo_jpeg)
        height, width = (side * scale for side in pixels.shape[-2:])
        check_pixels(height, width, self.runtime)
        row = replace(
            row,
            height=height,
            width=width,
            kind=found.kind,
            tone=found.tone,
            jpeg_quality=found.jpeg.quality if found.jpeg else None,
            noise=found.noise.sigma.value if found.noise else None,
            blur=found.blur.value if found.blur else None,
            decisions=list(treatment.decisions),
        )
        if treatment.unchanged:
            return self.delivery.copy(ref, data, row)
        return Prepared(ref=ref, row=row, picture=picture, y=treatment.y, stages=treatment.stages)

    def _unchanged(self, ref: ImageRef, data: bytes, row: ManifestRow) -> ManifestRow:
        """Return the row of an image after copying its file."""
        try:
            return self.delivery.copy(ref, data, row)
        except ImageError as error:
            return failed(row, error)

    def _decompressed(self, ref: ImageRef, data: bytes, row: ManifestRow, picture: Picture) -> Prepared:
        """Return an image whose JPEG compression is to be undone.

        Raises:
            UnsupportedImageError: Its file does not tell its compression, or lost nothing by it.
        """
        told = self.undoing.noise
        noise = 0.0 if told is None or told == "auto" else told
        y, stage = jpeg_stage(data, picture, settings=self.solver.engine.settings, noise=noise)
        height, width = picture.pixels.shape[-2:]
        row = replace(row, height=height, width=width, noise=stage.sigma_y / 2)
        return Prepared(ref=ref, row=row, picture=picture, y=y, stages=(stage,))

    def _deliver(self, restored: Restored) -> ManifestRow:
        """Write a restored image and return its row."""
        try:
            return self.delivery(restored)
        except ImageError as error:
            return failed(restored.row, error)


def _prepared(inputs: Iterable[Prepared | ManifestRow], settle: Settle) -> Iterator[Prepared]:
    """Yield images to be restored; settle the rows of all others."""
    for item in inputs:
        if isinstance(item, Prepared):
            yield item
        else:
            settle(item)
