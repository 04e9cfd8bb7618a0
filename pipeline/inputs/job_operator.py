"""The operator of a job, for all images or for each, and the observation and the noise of each image."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import torch
from torch import Tensor

from deqir.defaults import METHOD_VERSION
from deqir.estimation import Diagnosis, Estimate, NoiseEstimate, Tone, estimate_noise, tone_of
from deqir.operators import Colorization, Deblurring
from deqir.protocols import LinearOperator
from pipeline.config import RuntimeConfig
from pipeline.degradation import Degradation, least_noise, usual_noise
from pipeline.errors import ImageError, InColourError, MaskError, OperatorMismatchError
from pipeline.images.codec import decode_mask

from .make_operator import cut_of, deblurring, has_parts, is_grey, make_operator
from .side_files import Companion, Companions
from .unsharpness import UNTOLD_NOISE, blur_width, likely_noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """An image as a restoration takes it.

    Attributes:
        y: The observation, shape (c, h, w), in [-1, 1].
        operator: The degradation that made y.
        noise: Standard deviation of its noise, images in [0, 1]; 0 for task auto, which looks for it afterwards.
        tone: The image's tone, if the result gets it back; None: the result has the colours it gets.
        found: Parameters of the operator estimated from this image.
    """

    y: Tensor
    operator: LinearOperator
    noise: float
    tone: Tone | None = None
    found: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """The degradation to undo: one operator for all images, or one for each image with its own mask.

    Attributes:
        degradation: As the job says it.
        operator: For all images; with masks for each, the one of an image without damage.
        mask_sha256: Digest of the one mask for all, where there is one.
        masks: One for each image; None: `operator` is for all.
        max_pixels: Of a mask.
        noise: Of the images, as a standard deviation of images in [0, 1]; auto: estimated for each; None: the task's
            usual noise.
        keep: Pixels that the one mask for all keeps, where there is one.
        file: The image of a blur, where there is one.
        method: Number of the job's method.
    """

    degradation: Degradation
    operator: LinearOperator
    mask_sha256: str | None = None
    masks: Companions | None = None
    max_pixels: int
    noise: float | Literal["auto"] | None
    keep: Tensor | None = None
    file: bytes | None = None
    method: int

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

    def of(self, mask: Companion | None, *, in_colour: bool = False) -> LinearOperator:
        """Return the operator of the image with this mask, as `mask_of` gives it.

        Args:
            mask: The image's own.
            in_colour: The image has its colour, where others have lost it.

        Raises:
            MaskError: The mask cannot be used.
        """
        if mask is None:
            if not in_colour:
                return self.operator
            return make_operator(self.degradation, keep=self.keep, in_colour=True)
        try:
            keep = ~decode_mask(mask.data, max_pixels=self.max_pixels)
            return make_operator(self.degradation, keep=keep, in_colour=in_colour)
        except (ImageError, ValueError) as error:
            raise MaskError(f"the mask {mask.place} cannot be used: {error}") from error

    def observed(self, pixels: Tensor, mask: Companion | None) -> Observed:
        """Return an image, shape (1 or 3, H, W), as its restoration takes it.

        The network knows three channels: grey becomes three equal ones, except where grey is the degradation. A tinted
        image is restored as grey, and gets its tint back. A blur with a circular boundary gets an image whose opposite
        edges meet.

        Raises:
            MaskError: The mask cannot be used.
            InColourError: The image would be given colour, and has it already.
            OperatorMismatchError: The noise was to be estimated, and too little of the image tells.
            UncertainError: The width of the blur was to be estimated, and cannot be told.
            ValueError: The operator does not fit the image.
        """
        if self.degradation.task == "deblur" and self.method > 1:
            return self._blurred(pixels)
        tone = tone_of(pixels) if self._keeps_tone else None
        in_colour = tone is not None and tone.kind == "colour"
        if in_colour and is_grey(self.degradation) and not has_parts(self.degradation):
            raise InColourError(
                f"it is in colour already, so task {self.degradation.task} would only replace its colours; leave it "
                "out, or restore it by another task"
            )
        operator = self.of(mask, in_colour=in_colour)
        if is_grey(self.degradation) and not in_colour:
            y = pixels if len(pixels) == 1 else Colorization()(pixels[None])[0]
            return Observed(y=y, operator=operator, noise=self.noise_of(y))
        if tone is not None and not in_colour:
            y = tone.to_grey(pixels).expand(3, -1, -1)
            return Observed(y=y, operator=operator, noise=self.noise_of(y), tone=tone)
        y = _tapered(pixels.expand(3, -1, -1), operator)
        return Observed(y=y, operator=operator, noise=self.noise_of(y))

    def with_noise(self, found: Diagnosis) -> Diagnosis:
        """Return a diagnosis with the noise that the job states, if it does."""
        if self.noise is None or self.noise == "auto":
            return found
        told = Estimate(value=self.noise, low=self.noise, high=self.noise)
        return replace(found, noise=NoiseEstimate(sigma=told, channels=(self.noise,)))

    def noise_of(self, y: Tensor) -> float:
        """Return the noise of an observation, shape (c, h, w), as a standard deviation of images in [0, 1].

        Raises:
            OperatorMismatchError: It was to be estimated, and too little of the image tells.
        """
        noise = usual_noise(self.degradation, method=self.method) if self.noise is None else self.noise
        if noise != "auto":
            return noise
        found = estimate_noise(y)
        if found is None:
            raise OperatorMismatchError(NO_NOISE_FOUND)
        return found.sigma.value

    def with_loss(self, noise: float, lost: float) -> float:
        """Return the noise of an observation with the loss of a JPEG, where the task takes it for noise.

        Both are standard deviations of images in [0, 1]. A told noise stands as it is. Known pixels beside gaps stay as
        they are, as does the grey of an image to be coloured. Where nothing but noise is removed, half of the loss
        counts: much of it follows edges and is no noise.
        """
        share = {"sr": 1.0, "old-photo": 1.0, "denoise": 0.5}.get(self.degradation.task, 0.0)
        told = self.noise is not None and self.noise != "auto"
        return noise if told or self.method == 1 else math.hypot(noise, share * lost)

    @property
    def _keeps_tone(self) -> bool:
        """True if the tone of an image decides about its restoration."""
        if self.degradation.task == "colorize":
            return self.method > 1
        return self.degradation.task == "old-photo" and self.degradation.grey is None

    def _blurred(self, pixels: Tensor) -> Observed:
        """Return a blurred image with a blur of its own: its width and noise are told or estimated.

        Without a told noise, a blur of kind motion or file is undone within its frame where the image has little.
        """
        noise, found = self.noise, dict[str, str]()
        if noise is None or noise == "auto":
            likely = likely_noise(pixels)
            if likely is None and noise == "auto":
                raise OperatorMismatchError(NO_NOISE_FOUND)
            noise = max(UNTOLD_NOISE if likely is None else likely, least_noise(self.degradation))
        blur = self.degradation
        if blur.width == "auto":
            width = blur_width(pixels)
            blur = blur.model_copy(update={"width": width})
            found["width"] = f"{width:.3g}"
        if not found and self.noise not in (None, "auto"):
            operator = self.operator
        else:
            operator = deblurring(blur, self.file, noise="auto" if self.noise == "auto" else noise, cut=cut_of(noise))
        return Observed(y=_tapered(pixels.expand(3, -1, -1), operator), operator=operator, noise=noise, found=found)


NO_NOISE_FOUND: Final = (
    "its noise cannot be estimated: it is too small, or too much of it is clipped to black or white; say how much "
    "there is (noise, or --noise) instead of auto"
)


def _tapered(y: Tensor, operator: LinearOperator) -> Tensor:
    if isinstance(operator, Deblurring) and operator.boundary == "circular":
        return operator.tapered(y[None])[0]
    return y


def open_undoing(
    degradation: Degradation,
    file: bytes | None,
    *,
    noise: float | Literal["auto"] | None,
    limits: RuntimeConfig,
    method: int = METHOD_VERSION,
) -> Undoing:
    """Return the operators of a degradation.

    Args:
        degradation, file: As the job says it, and its file, from `read_file`.
        noise: Of the images, as a standard deviation of images in [0, 1]; auto: estimated for each; None: the task's
            usual noise.
        limits: Bounds of an image, and so of its mask.
        method: Number of the job's method.

    Raises:
        ConfigurationError: The masks cannot be listed, or the file is no kernel.
    """
    mask, max_pixels = None if degradation.task == "deblur" else file, limits.max_pixels
    taken = usual_noise(degradation, method=method) if noise is None else noise
    if degradation.masks is None:
        keep = None if mask is None else ~decode_mask(mask, max_pixels=max_pixels)
        return Undoing(
            degradation=degradation,
            operator=make_operator(degradation, keep=keep, file=file, noise=taken, method=method),
            mask_sha256=None if mask is None else hashlib.sha256(mask).hexdigest(),
            max_pixels=max_pixels,
            noise=noise,
            keep=keep,
            file=file,
            method=method,
        )
    return Undoing(
        degradation=degradation,
        operator=make_operator(degradation, keep=torch.ones(1, 1, dtype=torch.bool)),
        masks=Companions.open(degradation.masks, name="mask", fault=MaskError, max_bytes=limits.max_bytes),
        max_pixels=max_pixels,
        noise=noise,
        method=method,
    )
