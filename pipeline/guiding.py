"""What restorations are optimised for after they were made: a guide under each image's own key, or y itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from deqir.engine import Engine
from deqir.losses import GuideName, Loss, Misfit, guided
from deqir.optimisation import Optimisation, Optimised, optimise
from deqir.perceptual import SMALLEST, Lpips
from deqir.requests import Request

from .errors import UNREADABLE, GuideError
from .images import decode
from .reference import companion
from .store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Guides:
    """Guides of images under the images' own keys, whatever their extension.

    Attributes:
        store: Where they are.
        keys: Their keys by key without extension.
        by: In what they are to be approached; for colour their size does not matter.
        max_bytes, max_pixels: As for sources.
    """

    store: Store
    keys: Mapping[str, str]
    by: GuideName
    max_bytes: int
    max_pixels: int

    def of(self, source_key: str, *, height: int, width: int) -> Tensor:
        """Return an image's guide in [-1, 1], shape (3, height, width).

        Raises:
            GuideError: It has none, or one that cannot be used.
        """
        if self.by == "lpips" and min(height, width) < SMALLEST:
            raise GuideError(
                f"LPIPS needs images of at least {SMALLEST} pixels a side, the restored one has {(height, width)} "
                "(height, width); guide by pixels"
            )
        key = companion(self.keys, source_key)
        if key is None:
            raise GuideError(
                f"{self.store.url} has no guide for {source_key}: put one there under that key, then retry"
            )
        try:
            pixels = decode(self.store.get(key, limit=self.max_bytes), max_pixels=self.max_pixels).pixels
        except UNREADABLE as error:
            raise GuideError(f"the guide {self.store.url}/{key} cannot be used: {error}") from error
        pixels, found = pixels.expand(3, -1, -1), tuple(pixels.shape[-2:])
        if found == (height, width):
            return pixels
        if self.by == "colour":
            return functional.interpolate(pixels[None], size=(height, width), mode="bicubic", antialias=True)[0]
        raise GuideError(
            f"the guide {self.store.url}/{key} is {found} (height, width), the restored image {(height, width)}; "
            "guide by colour, or bring it to that size"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """How restorations are optimised.

    Attributes:
        settings: Of the search.
        by: The distance to a guide.
        lpips: The metric, where that is LPIPS.
    """

    settings: Optimisation
    by: GuideName
    lpips: Lpips | None

    def __call__(self, engine: Engine, request: Request[Any], guide: Tensor | None, /) -> Optimised:
        """Return the best restoration of one image; without a guide, of least misfit beyond the noise in y.

        Raises:
            MemoryError, RuntimeError: Memory ran out.
        """
        sampler = engine.sampler(request)
        loss = self._loss(request, guide, sampler.start.device)
        return optimise(sampler, loss, settings=self.settings)

    def _loss(self, request: Request[Any], guide: Tensor | None, device: torch.device) -> Loss:
        if guide is not None:
            return guided(self.by, guide[None].to(device), lpips=self.lpips)
        return Misfit(A=request.operator, y=request.y[None].to(device), sigma_y=request.sigma_y)
