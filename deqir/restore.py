"""The entry for batches of images: it restores them and returns the statistics of their convergence."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .engine.batch_size import BatchSize, device_of_chain
from .engine.engine import Engine
from .engine.requests import Failed, Request, Result
from .given import check_range, checked, numbers_of, tensor_of
from .priors.prior import Prior
from .protocols import Denoiser, LinearOperator
from .results import ConvergenceStats, Restoration
from .sampling.noise import image_seed
from .settings import SURROGATES, Defaults, Mode, Settings, SurrogateName
from .shapes import Float

__all__ = ["SURROGATES", "ConvergenceStats", "Defaults", "Mode", "Restoration", "Restorer", "SurrogateName"]


@dataclass(frozen=True, slots=True)
class Restorer(Settings):
    """Restores y = A x with one prior and one set of settings; keeps the measured batch size of each device.

    Attributes:
        prior: A `Prior`, or any `Denoiser`.
    """

    prior: Prior | Denoiser
    _batch_sizes: dict[torch.device, BatchSize] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(
        self,
        y: Float[Tensor, "B c h w"],
        operator: LinearOperator,
        *,
        seed: int = 0,
        seeds: Sequence[int] = (),
        sigma_y: float | Sequence[float] = 0.0,
        start: Float[Tensor, "B C H W"] | None = None,
    ) -> Restoration:
        """Restore a batch of images of one size.

        Args:
            y: Degraded images in [-1, 1], or other measurements A x of such images; a `Prior` computes in single
                precision, whatever the precision of y.
            seed: Seeds each image's noise together with the image's content; a result does not depend on its place in
                a batch.
            sigma_y: Standard deviation of the noise in y, a number or one per image, images in [-1, 1].
            start: Images to start the chains from, such as another restorer's, in [-1, 1]; None: the prior's or the
                operator's own start. If y is exact, they are first made to agree with it. The smaller `start_noise`,
                the nearer the results stay to them.

        Raises:
            TypeError: y or start is no tensor.
            ValueError: y is no batch of finite images, holds larger values than images in [-1, 1] give, its images do
                not fit the prior or the operator, a setting is out of range, or y is noisy and the operator does not
                know its singular values.
            PriorError: The prior does not know noise as strong as the start's.
            MemoryError, RuntimeError: An image does not fit in memory.
            ConvergenceError: The iteration of a `MatrixFree` operator did not reach its tolerance for an image; the
                `Engine` restores the others.
        """
        y = tensor_of("y", y)
        if y.ndim != 4:
            raise ValueError(
                f"y must be a batch of images, (images, channels, height, width), got {tuple(y.shape)}; a single "
                "image is a batch of one: y[None]"
            )
        y = checked(y, operator, self.prior)
        start = None if start is None else numbers_of("start", tensor_of("start", start), self.prior)
        if len(seeds) and len(seeds) != len(y):
            raise ValueError(f"need one seed per image: got {len(seeds)} for {len(y)} images")
        told = torch.as_tensor(sigma_y, dtype=torch.float64)
        noises = (told if told.ndim else told.expand(len(y))).tolist()
        if len(noises) != len(y) or not all(0 <= noise < math.inf for noise in noises):
            raise ValueError(
                f"sigma_y must be a number of at least 0, or one for each of {len(y)} images, got {sigma_y}"
            )
        check_range(y, operator, max(noises))
        if start is not None and len(start) != len(y):
            raise ValueError(f"need one image to start from for each: got {len(start)} for {len(y)} images")
        seeds = [int(own) for own in seeds] if len(seeds) else [image_seed(seed, _digest(image)) for image in y]
        requests = [
            Request(
                y=image,
                operator=operator,
                seed=own,
                tag=place,
                sigma_y=noise,
                start=None if start is None else start[place],
            )
            for place, (image, own, noise) in enumerate(zip(y, seeds, noises, strict=True))
        ]
        results = list[Result[int]]()
        batch_size = self._batch_sizes.setdefault(device_of_chain(self.prior, self, y), BatchSize())
        for result in Engine(self.prior, self, batch_size=batch_size).run(requests):
            if isinstance(result, Failed):
                result.error.add_note(f"while restoring image {result.tag} of the {len(y)} given")
                raise result.error
            results.append(result)
        results.sort(key=lambda result: result.tag)
        return Restoration(
            images=torch.stack([result.image for result in results]).to(y.device),
            start=torch.stack([result.start for result in results]).to(y.device),
            stats=tuple(result.stats for result in results),
        )


def _digest(image: Tensor) -> str:
    return hashlib.sha256(image.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
