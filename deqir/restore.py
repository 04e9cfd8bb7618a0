"""The front door: degraded images in, restored images and the statistics of their convergence out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .engine import Engine
from .noise import image_seed
from .priors.prior import Prior
from .protocols import Denoiser, LinearOperator
from .requests import Request, TooLarge
from .results import ConvergenceStats, Restoration
from .settings import SURROGATES, Defaults, Mode, Settings, SurrogateName
from .shapes import Float

__all__ = ["SURROGATES", "ConvergenceStats", "Defaults", "Mode", "Restoration", "Restorer", "SurrogateName"]


@dataclass(frozen=True, slots=True)
class Restorer(Settings):
    """Restores y = A x with one prior and one set of settings; holds no state between calls.

    Attributes:
        prior: A `Prior`, or any `Denoiser`.
    """

    prior: Prior | Denoiser

    @torch.inference_mode()
    def __call__(
        self,
        y: Float[Tensor, "B c h w"],
        operator: LinearOperator,
        *,
        seed: int = 0,
        seeds: Sequence[int] = (),
        sigma_y: float | Sequence[float] = 0.0,
    ) -> Restoration:
        """Restore a batch of images of one size.

        Args:
            y: Degraded images in [-1, 1].
            operator: The degradation that made them.
            seed: Seeds each image's noise together with the image's own content, so that a result does not
                depend on its place in a batch.
            seeds: One seed per image, instead of `seed`.
            sigma_y: Standard deviation of the noise in y, for all images or for each, images in [-1, 1].

        Raises:
            ValueError: y is no batch of finite images, the operator cannot have made it, a setting is out of
                range, or y is noisy and the operator does not know its singular values.
            PriorError: The prior does not know noise as strong as the start's.
            MemoryError, RuntimeError: An image does not fit in memory.
        """
        if y.ndim != 4:
            raise ValueError(
                f"y must be a batch of images, (images, channels, height, width), got {tuple(y.shape)}; a single "
                "image is a batch of one: y[None]"
            )
        if seeds and len(seeds) != len(y):
            raise ValueError(f"need one seed per image: got {len(seeds)} for {len(y)} images")
        if not bool(torch.isfinite(y).all()):
            raise ValueError("y holds nan or inf")
        noises = [float(sigma_y)] * len(y) if isinstance(sigma_y, int | float) else list(sigma_y)
        if len(noises) != len(y) or not all(0 <= noise < math.inf for noise in noises):
            raise ValueError(
                f"sigma_y must be a number of at least 0, or one for each of {len(y)} images, got {sigma_y}"
            )
        seeds = seeds or [image_seed(seed, _digest(image)) for image in y]
        requests = [
            Request(y=image, operator=operator, seed=own, tag=place, sigma_y=noise)
            for place, (image, own, noise) in enumerate(zip(y, seeds, noises, strict=True))
        ]
        results = sorted(Engine(self.prior, self).run(requests), key=lambda result: result.tag)
        images, starts, stats = list[Tensor](), list[Tensor](), list[ConvergenceStats]()
        for result in results:
            if isinstance(result, TooLarge):
                raise result.error
            images.append(result.image)
            starts.append(result.start)
            stats.append(result.stats)
        return Restoration(
            images=torch.stack(images).to(y.device), start=torch.stack(starts).to(y.device), stats=tuple(stats)
        )


def _digest(image: Tensor) -> str:
    return hashlib.sha256(image.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
