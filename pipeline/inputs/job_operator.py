"""The operator of a job, for all images or for each, and the observation and the noise of each image."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from deqir.estimation import Estimate, NoiseEstimate, estimate_noise
from deqir.operators import Colorization, Deblurring
from deqir.protocols import LinearOperator
from pipeline.config import RuntimeConfig
from pipeline.degradation import Degradation
from pipeline.errors import ImageError, MaskError, OperatorMismatchError
from pipeline.images.codec import decode_mask

from .make_operator import is_grey, make_operator
from .side_files import Companion, Companions


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """The degradation to undo: one operator for all images, or one for each image with its own mask.

    Attributes:
        degradation: As the job says it.
        operator: For all images; with masks for each, the one of an image without damage.
        mask_sha256: Digest of the one mask for all, where there is one.
        masks: One for each image; None: `operator` is for all.
        max_pixels: Of a mask.
        noise: Of the images, as a standard deviation of images in [0, 1]; auto: estimated for each.
    """

    degradation: Degradation
    operator: LinearOperator
    mask_sha256: str | None = None
    masks: Companions | None = None
    max_pixels: int
    noise: float | Literal["auto"]

    @property
    def is_auto(self) -> bool:
        """True if each image gets the treatment that it needs."""
        return self.degradation.task == "auto"

    @property
    def is_jpeg(self) -> bool:
        """True if each image's own file tells its operator."""
        return self.degradation.task == "jpeg"

    def mask_of(self, source_key: str) -> Companion | None:
        """Return an image's own mask; None where one operator is for all.

        Raises:
            MaskError: It has no mask, or its mask cannot be read.
        """
        return None if self.masks is None else self.masks.of(source_key)

    def of(self, mask: Companion | None) -> LinearOperator:
        """Return the operator of the image with this mask, as `mask_of` gives it.

        Raises:
            MaskError: The mask cannot be used.
        """
        if mask is None:
            return self.operator
        try:
            return make_operator(self.degradation, keep=~decode_mask(mask.data, max_pixels=self.max_pixels))
        except (ImageError, ValueError) as error:
            raise MaskError(f"the mask {mask.place} cannot be used: {error}") from error

    def observation(self, pixels: Tensor, operator: LinearOperator) -> Tensor:
        """Return y of an image's pixels, shape (1 or 3, H, W).

        The network knows three channels: grey becomes three equal ones, except where grey is the degradation. A blur
        with a circular boundary gets an image whose opposite edges meet.
        """
        if is_grey(self.degradation):
            return pixels if len(pixels) == 1 else Colorization()(pixels[None])[0]
        y = pixels.expand(3, -1, -1)
        if isinstance(operator, Deblurring) and operator.boundary == "circular":
            return operator.tapered(y[None])[0]
        return y

    def noise_found(self, y: Tensor) -> NoiseEstimate | None:
        """Return the noise of an observation as the job states it, or estimated; None if too little of it tells."""
        return estimate_noise(y) if self.noise == "auto" else _told(self.noise, len(y))

    def noise_of(self, y: Tensor) -> float:
        """Return the noise of an observation, shape (c, h, w), as a standard deviation of images in [0, 1].

        Raises:
            OperatorMismatchError: It was to be estimated, and too little of the image tells.
        """
        if self.noise != "auto":
            return self.noise
        found = estimate_noise(y)
        if found is None:
            raise OperatorMismatchError(
                "its noise cannot be estimated: it is too small, or too much of it is clipped to black or white; say "
                "how much there is (noise, or --noise) instead of auto"
            )
        return found.sigma.value


def _told(noise: float, channels: int) -> NoiseEstimate:
    """Return a noise that the job states."""
    return NoiseEstimate(sigma=Estimate(value=noise, low=noise, high=noise), channels=(noise,) * channels)


def open_undoing(
    degradation: Degradation,
    file: bytes | None,
    *,
    noise: float | Literal["auto"],
    limits: RuntimeConfig,
) -> Undoing:
    """Return the operators of a degradation.

    Args:
        degradation, file: As the job says it, and its file, from `read_file`.
        noise: Of the images, as a standard deviation of images in [0, 1]; auto: estimated for each.
        limits: Bounds of an image, and so of its mask.

    Raises:
        ConfigurationError: The masks cannot be listed, or the file is no kernel.
    """
    mask, max_pixels = None if degradation.task == "deblur" else file, limits.max_pixels
    if degradation.masks is None:
        keep = None if mask is None else ~decode_mask(mask, max_pixels=max_pixels)
        return Undoing(
            degradation=degradation,
            operator=make_operator(degradation, keep=keep, file=file, noise=noise),
            mask_sha256=None if mask is None else hashlib.sha256(mask).hexdigest(),
            max_pixels=max_pixels,
            noise=noise,
        )
    return Undoing(
        degradation=degradation,
        operator=make_operator(degradation, keep=torch.ones(1, 1, dtype=torch.bool)),
        masks=Companions.open(degradation.masks, name="mask", fault=MaskError, max_bytes=limits.max_bytes),
        max_pixels=max_pixels,
        noise=noise,
    )
