"""An image's last third: doubted or not, encoded, stored at its key or found to be there already, and measured."""

from __future__ import annotations

import hashlib
import math
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from deqir import metrics
from deqir.operators import Colorization
from deqir.sampling.samples import Samples
from pipeline.config import OnDoubt, ResultConfig
from pipeline.errors import ConflictError, DoubtError, ImageTooLargeError, ObjectAccessError
from pipeline.images.codec import decode, encode, read_provenance
from pipeline.inputs.reference import Reference
from pipeline.keys import EXTENSIONS, Layout, check_output_key, copy_keys, provenance
from pipeline.manifest import rows
from pipeline.manifest.schema import ManifestRow
from pipeline.planning.retry import base_of
from pipeline.shards import ImageRef
from pipeline.store import Store

from .doubt import doubts_of
from .solve import Restored
from .stages import agreement

WHITE: Final = 16 / 255
"""Spread shown as white, images in [0, 1]; the same for all images, so that pictures can be compared.

With FFDNet half of the pixels have less than 3 of 255, and 99 in 100 less than 15, or 28 with 70 % of them missing.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Writes restored images.

    Attributes:
        destination: Where to.
        layout: The job's keys; outputs carry the job's id, to be recognised.
        result: Settings of the outputs: the file format and the number of samples.
        on_doubt: Where a restored image goes that is not trusted.
        reference: Originals to measure against, if any.
        max_bytes: Largest stored object read to find out who made it.
    """

    destination: Store
    layout: Layout
    result: ResultConfig
    on_doubt: OnDoubt
    reference: Reference | None
    max_bytes: int

    def __call__(self, restored: Restored, /) -> ManifestRow:
        """Write an image and return its row, which describes the stored object, new or of an earlier attempt.

        A doubtful image is set aside, delivered or failed, as the job says; but if an earlier attempt delivered it, it
        stays delivered.

        Raises:
            ImageError: The format cannot hold the image.
            ConflictError: The key holds another object, which is left alone.
        """
        key, row = str(restored.prepared.ref.output_key), restored.row
        began = time.perf_counter()
        doubts = doubts_of(restored)
        row = replace(row, doubts=list(doubts))
        restored = replace(restored, row=row)
        if doubts and self.on_doubt == "fail":
            return rows.failed(row, DoubtError(f"its restoration is not trusted: {'; '.join(doubts)}"))
        aside = bool(doubts) and self.on_doubt == "aside" and not self._is_delivered(key, row)
        place = self.layout.aside(key) if aside else key
        if restored.samples is not None:
            self._write_samples(restored, restored.samples, key)
        data = self._encoded(restored, restored.image)
        encoded = time.perf_counter()
        if not self.destination.create(place, data):
            data = self._ours(place, row)
        row = replace(
            row,
            output_key=key,
            output_size=len(data),
            output_sha256=hashlib.sha256(data).hexdigest(),
            encode_seconds=encoded - began,
            put_seconds=time.perf_counter() - encoded,
        )
        row = self._measured(restored, data, row)
        return rows.set_aside(row) if aside else rows.restored(row)

    def copy(self, ref: ImageRef, data: bytes, row: ManifestRow) -> ManifestRow:
        """Store the file of an image that needs no restoration, as it is, and return its row.

        Raises:
            ConflictError: Its keys hold other objects, which are left alone.
            UnsafeKeyError: The destination cannot hold its name.
        """
        began = time.perf_counter()
        keys = copy_keys(ref.key, str(ref.output_key))
        for key in keys:
            check_output_key(key, of="its copy")
            self.destination.check_new(key)
            if self.destination.create(key, data) or self._holds(key, row):
                break
        else:
            raise ConflictError(
                f"{self.destination.url}/{keys[-1]} is taken: it holds something else, which was left alone; "
                "restore into another destination to keep both"
            )
        row = replace(
            row,
            output_key=key,
            output_size=len(data),
            output_sha256=row.source_sha256,
            put_seconds=time.perf_counter() - began,
        )
        return rows.unchanged(row)

    def _is_delivered(self, key: str, row: ManifestRow) -> bool:
        """True if the output key holds this image, restored by an earlier attempt or a retry."""
        try:
            self._ours(key, row)
        except (ConflictError, FileNotFoundError):
            return False
        return True

    def _holds(self, key: str, row: ManifestRow) -> bool:
        """True if the object at a key has the bytes of the source."""
        try:
            data = self.destination.get(key, limit=self.max_bytes).data
        except (FileNotFoundError, ImageTooLargeError, ObjectAccessError):
            return False
        return hashlib.sha256(data).hexdigest() == row.source_sha256

    def _write_samples(self, restored: Restored, samples: Samples, key: str) -> None:
        """Write the further samples, the mean of all and their spread; objects of an earlier attempt are kept.

        Raises:
            ImageError: The format cannot hold them.
            ConflictError: The earlier attempt had another mask or guide.
        """
        spread = (samples.spread / WHITE - 1).expand(3, -1, -1)
        images = (*samples.images[1:], samples.mean, spread)
        for sample_key, image in zip(self._samples_of(key), images, strict=True):
            if not self.destination.create(sample_key, self._encoded(restored, image)):
                self._ours(sample_key, restored.row)

    def _samples_of(self, key: str) -> tuple[str, ...]:
        return self.layout.samples_of(key, self.result.samples, extension=EXTENSIONS[self.result.output_format])

    def check_keys(self, key: str) -> None:
        """Raise UnsafeKeyError, before any time goes into an image, if its output or its samples cannot be stored.

        The plan has checked only the output's key, without the prefix of the destination.
        """
        self.destination.check_new(key)
        if self.on_doubt == "aside":
            check_output_key(self.layout.aside(key), of="its restoration, if it is set aside,")
            self.destination.check_new(self.layout.aside(key))
        for sample_key in self._samples_of(key) if self.result.samples > 1 else ():
            check_output_key(sample_key, of="its samples")
            self.destination.check_new(sample_key)

    def check_free(self, key: str, row: ManifestRow) -> None:
        """Raise ConflictError, before any time goes into restoring, if the key holds another object."""
        with suppress(FileNotFoundError):
            try:
                self._ours(key, row)
            except ConflictError:
                if not (self.result.degradation.task == "auto" and self._holds(key, row)):
                    raise

    def _encoded(self, restored: Restored, image: Tensor) -> bytes:
        """Return the file of a result; a grey source, three equal channels for the network, is grey or tinted again."""
        prepared = restored.prepared
        if len(prepared.y) == 1:
            image = in_range(image)
        elif len(prepared.picture.pixels) == 1:
            image = image.mean(0, keepdim=True)
        elif prepared.tone is not None:
            image = prepared.tone.from_grey(image.mean(0, keepdim=True))
        return encode(
            image,
            like=prepared.picture,
            output_format=self.result.output_format,
            quality=self.result.quality,
            provenance=self._provenance(restored.row),
        )

    def _provenance(self, row: ManifestRow) -> str:
        """Return the provenance of an output made from the files in a row."""
        return provenance(self.layout.job_id, str(row.source_sha256), mask=row.mask_sha256, guide=row.guide_sha256)

    def _ours(self, key: str, row: ManifestRow) -> bytes:
        """Return the object at a key if a run or a retry of this job made it from the same files.

        Raises:
            FileNotFoundError: The key is free.
            ConflictError: The object has another maker, or an unknown one.
        """
        try:
            data = self.destination.get(key, limit=self.max_bytes).data
        except ImageTooLargeError:
            found = f"more than {self.max_bytes} bytes"
        except ObjectAccessError as error:
            found = f"an unreadable object ({error})"
        else:
            carried = read_provenance(data)
            if carried is not None and _of_any_try(carried) == _of_any_try(self._provenance(row)):
                return data
            found = f"an image of another job, input, mask or guide ({carried})" if carried else "something else"
        raise ConflictError(
            f"{self.destination.url}/{key} is taken: it holds {found}, which was left alone; "
            "restore into another destination to keep both"
        )

    def _measured(self, restored: Restored, stored: bytes, row: ManifestRow) -> ManifestRow:
        """Return the row with measures of the written 8-bit values; some of them need an original."""
        output = _values(stored)
        prepared = restored.prepared
        row = replace(row, data_consistency=agreement(output[0], restored.scene, prepared.y, prepared.stages))
        if self.reference is None:
            return row
        original = self.reference.original_of(restored.prepared.ref.key, tuple(restored.image.shape))
        if original is None:
            return row
        start = _values(self._encoded(restored, restored.start))
        given = restored.prepared.picture.pixels.expand(3, -1, -1)
        return replace(
            row,
            psnr=_finite(metrics.psnr(output, original[None])),
            psnr_given=_finite(metrics.psnr(given[None], original[None])) if given.shape == original.shape else None,
            psnr_start=_finite(metrics.psnr(start, original[None])),
            ssim=_finite(metrics.ssim(output, original[None])),
        )


def in_range(image: Tensor) -> Tensor:
    """Return an image, shape (3, H, W), with its colours moved towards its grey until they lie in [-1, 1].

    Clipping would change the grey, which is the known part of a coloured picture.
    """
    grey = Colorization()(image[None])[0].clamp(-1, 1)
    colour = image - grey
    room = torch.where(colour > 0, 1 - grey, 1 + grey)
    share = (room / colour.abs().clamp(min=1e-12)).clamp(max=1).amin(0)
    return grey + share * colour


def _of_any_try(provenance: str) -> str:
    """Return a provenance with the job's own id in place of the id of a retry."""
    job_id, colon, files = provenance.partition(":")
    return f"{base_of(job_id)}{colon}{files}"


def _values(data: bytes) -> Tensor:
    """Return the pixels of an output file, shape (1, 3, H, W)."""
    return decode(data, max_pixels=2**62).pixels.expand(3, -1, -1)[None]


def _finite(measure: Tensor) -> float | None:
    """Return a measure of an image; None if not finite, like PSNR of equal images or SSIM of tiny images."""
    value = float(measure)
    return value if math.isfinite(value) else None
