"""The originals to measure against, where a job has them: for tests only."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from pipeline.errors import UNREADABLE
from pipeline.images.codec import decode
from pipeline.store import Store

from .side_files import companion

logger = logging.getLogger("deqir.reference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A store of originals under the sources' keys, whatever their extension.

    Attributes:
        store: Where they are.
        keys: Their keys by key without extension.
        max_bytes, max_pixels: As for sources.
        slack: Pixels by which a side of an original may exceed the restored image, because its degradation cut
            them off at the right and the bottom, as `deqir degrade` does to make sides divisible.
    """

    store: Store
    keys: Mapping[str, str]
    max_bytes: int
    max_pixels: int
    slack: int = 0
    _told: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def original_of(self, source_key: str, shape: tuple[int, ...]) -> Tensor | None:
        """Return a source's original, shape (3, H, W), in [-1, 1]; None if there is none for shape (C, H, W).

        An unusable original never stops a restoration: it is logged, after the
        first time at level DEBUG.
        """
        key = companion(self.keys, source_key)
        if key is None:
            return None
        try:
            pixels = decode(self.store.get(key, limit=self.max_bytes).data, max_pixels=self.max_pixels).pixels
        except UNREADABLE as error:
            self._tell(key, f"{type(error).__name__}: {error}")
            return None
        (height, width), (rows, columns) = shape[-2:], pixels.shape[-2:]
        if not (0 <= rows - height <= self.slack and 0 <= columns - width <= self.slack):
            self._tell(key, f"it has {columns} x {rows} pixels, the restored image {width} x {height}")
            return None
        return pixels[:, :height, :width].expand(3, -1, -1)

    def _tell(self, key: str, reason: str) -> None:
        level = logging.DEBUG if self._told else logging.WARNING
        self._told.append(key)
        logger.log(level, "reference not used key=%s reason=%s; further ones at level DEBUG", key, reason)
