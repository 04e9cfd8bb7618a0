"""Goals for optimising finished restorations: a guide under each image's own key, or y itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from deqir.engine.engine import Engine
from deqir.engine.requests import Request, Tally
from deqir.gradients.losses import GuideName, Loss, Misfit, guided
from deqir.gradients.optimise import Optimisation, Optimised, optimise
from deqir.pretrained.lpips import SMALLEST, Lpips
from deqir.sampling.last_step import within_range
from pipeline.errors import GuideError, ImageError
from pipeline.images.codec import decode

from .noise import in_each_channel
from .side_files import Companion, Companions


@dataclass(frozen=True, slots=True, kw_only=True)
class Guides:
    """Guides of images under the images' own keys, whatever their extension.

    Attributes:
        files: Where they are.
        by: Measure of closeness; for colour the size of a guide does not matter.
        max_pixels: As for sources.
    """

    files: Companions
    by: GuideName
    max_pixels: int

    def fitted(self, guide: Companion, *, height: int, width: int) -> Tensor:
        """Return a guide in [-1, 1] as a restored image of this size can be compared with it, shape (3, height, width).

        Raises:
            GuideError: It cannot be used.
        """
        if self.by == "lpips" and min(height, width) < SMALLEST:
            raise GuideError(
                f"LPIPS needs images of at least {SMALLEST} pixels a side, the restored one has {width} x {height}; "
                "guide by pixels"
            )
        try:
            pixels = decode(guide.data, max_pixels=self.max_pixels).pixels
        except ImageError as error:
            raise GuideError(f"the guide {guide.place} cannot be used: {error}") from error
        pixels, (rows, columns) = pixels.expand(3, -1, -1), pixels.shape[-2:]
        if (rows, columns) == (height, width):
            return pixels
        if self.by == "colour":
            return functional.interpolate(pixels[None], size=(height, width), mode="bicubic", antialias=True)[0]
        raise GuideError(
            f"the guide {guide.place} has {columns} x {rows} pixels, the restored image {width} x {height}; "
            "guide by colour, or bring it to that size"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """Settings for optimising restorations.

    Attributes:
        settings: Of the search.
        by: The distance to a guide.
        lpips: The metric, if `by` is LPIPS.
    """

    settings: Optimisation
    by: GuideName
    lpips: Lpips | None

    def __call__(self, engine: Engine, request: Request[Any], guide: Tensor | None, tally: Tally, /) -> Optimised:
        """Return the best restoration of one image; without a guide, of least misfit beyond the noise in y.

        Raises:
            MemoryError, RuntimeError: Memory ran out.
        """
        sampler = engine.sampler(request)
        loss = self._loss(request, guide, sampler.start.device)
        found = optimise(sampler, loss, settings=self.settings)
        if engine.settings.within_range:
            images = within_range(sampler.A, found.images, sampler.pinv_y, exact=sampler.sigma_y is None)
            found = replace(found, images=images)
        for _ in range(found.stats[0].evaluations):  # one step after another, whatever a call has room for
            tally.count(1, batch=sampler.denoiser_batch)
        return found

    def _loss(self, request: Request[Any], guide: Tensor | None, device: torch.device) -> Loss:
        if guide is not None:
            return guided(self.by, guide[None].to(device), lpips=self.lpips)
        noise = in_each_channel(request.sigma_y, request.y)
        return Misfit(A=request.operator, y=request.y[None].to(device), sigma_y=noise)
