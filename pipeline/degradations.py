"""From a job's degradation to the operator that knows it, for all images or for each, and to what each observes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

from deqir.estimation import estimate_noise
from deqir.operators import (
    Colorization,
    Composition,
    Deblurring,
    Denoising,
    FramedDeblurring,
    Inpainting,
    KernelSuperResolution,
    SeparableDeblurring,
    SuperResolution,
    kernels,
)
from deqir.protocols import LinearOperator, SpectralOperator

from . import tasks
from .companions import Companion, Companions
from .errors import (
    ConfigurationError,
    ImageError,
    ImageTooLargeError,
    MaskError,
    OperatorMismatchError,
)
from .images import decode, decode_mask
from .store import open_store
from .tasks import Degradation

TILED: Final = 0.05
"""Least share of the largest singular value that the inverse of a blur uses where a scene is taken for tiles of y."""
FINEST: Final = 1e-3
"""Least tolerance of the inverse of a framed blur."""
MAX_KERNEL_PIXELS: Final = 255 * 255
FAINT: Final = 0.01
"""Share of its brightest pixel below which the picture of a blur is taken for black: a JPEG's black is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """What a job undoes: one operator for all images, or one for each where each has its mask.

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

    def mask_of(self, source_key: str) -> Companion | None:
        """Return an image's own mask; None where one operator is for all.

        Raises:
            MaskError: It has none, or one that cannot be read.
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
        that takes an image for a tile of itself gets one whose edges meet.
        """
        if is_grey(self.degradation):
            return pixels if len(pixels) == 1 else Colorization()(pixels[None])[0]
        y = pixels.expand(3, -1, -1)
        if isinstance(operator, Deblurring) and operator.boundary == "circular":
            return operator.tapered(y[None])[0]
        return y

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


def open_undoing(
    degradation: Degradation,
    file: bytes | None,
    *,
    noise: float | Literal["auto"] | None = None,
    max_bytes: int,
    max_pixels: int,
) -> Undoing:
    """Return what undoes a degradation.

    Args:
        degradation: As the job says it.
        file: What `read_file` gave for it.
        noise: Of the images; None: what is usual for the task.
        max_bytes: Largest mask read, where each image has its own.
        max_pixels: Of an image, and so of its mask.

    Raises:
        ConfigurationError: The masks cannot be listed, or the file is no kernel.
    """
    noise = tasks.usual_noise(degradation) if noise is None else noise
    mask = None if isinstance(degradation, tasks.Deblurring) else file
    prefix = degradation.masks if isinstance(degradation, tasks.Inpainting | tasks.OldPhotograph) else None
    if prefix is None:
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
        masks=Companions.open(prefix, name="mask", fault=MaskError, max_bytes=max_bytes),
        max_pixels=max_pixels,
        noise=noise,
    )


def make_operator(
    degradation: Degradation,
    *,
    keep: Tensor | None = None,
    file: bytes | None = None,
    noise: float | Literal["auto"] = 0.0,
) -> LinearOperator:
    """Return A.

    Args:
        degradation: As the job says it.
        keep: Which pixels of the source images are not damaged, shape (H, W); None: all.
        file: The image of a blur, where there is one.
        noise: Of the images, as a standard deviation of images in [0, 1].

    Raises:
        ConfigurationError: The file is no kernel.
        ValueError: The mask keeps nothing.
    """
    match degradation:
        case tasks.SuperResolution(scale=scale, kernel="average"):
            return SuperResolution(scale=scale)
        case tasks.SuperResolution(scale=scale):
            return KernelSuperResolution(scale=scale)
        case tasks.Deblurring():
            return deblurring(degradation, file, noise=noise)
        case tasks.Colorization():
            return Colorization()
        case tasks.Denoising():
            covered = Denoising().start_noise
            return Denoising(start_noise=covered if noise == "auto" else max(covered, noise))
        case tasks.Inpainting():
            return Inpainting(keep=torch.ones(1, 1, dtype=torch.bool) if keep is None else keep)
        case tasks.OldPhotograph(grey=grey, scale=scale):
            parts: list[SpectralOperator] = []
            if grey:
                parts.append(Colorization())
            if scale > 1:
                parts.append(SuperResolution(scale=scale))
            if keep is not None:
                parts.append(Inpainting(keep=keep))
            return Composition(parts=parts) if len(parts) > 1 else parts[0]


def deblurring(degradation: tasks.Deblurring, file: bytes | None, *, noise: float | Literal["auto"]) -> LinearOperator:
    """Return the blur."""
    width = degradation.width
    match degradation.blur:
        case "gaussian":
            return SeparableDeblurring(kernel=kernels.gaussian(width))
        case "uniform":
            return SeparableDeblurring(kernel=kernels.uniform(max(1, round(width))))
        case "motion":
            kernel = kernels.motion(width, degradation.angle)
        case "file":
            kernel = decode_kernel(file or b"")
    if noise != "auto" and tasks.is_framed(degradation, noise=noise):
        return FramedDeblurring(kernel=kernel, tolerance=max(FINEST, 2 * noise))
    return Deblurring(kernel=kernel, threshold=TILED)


def decode_kernel(data: bytes) -> Tensor:
    """Return the picture of a blur as a kernel of odd sides, shape (n, m).

    Raises:
        ConfigurationError: The bytes are no image that we read, or one without light.
    """
    try:
        light = (decode(data, max_pixels=MAX_KERNEL_PIXELS).pixels.double().mean(0) + 1) / 2
        light = torch.where(light > FAINT * light.max(), light, 0.0)
        pad = (0, 1 - light.shape[1] % 2, 0, 1 - light.shape[0] % 2)
        return kernels.from_array(torch.nn.functional.pad(light, pad).numpy())
    except ImageTooLargeError as error:
        raise ConfigurationError(
            f"the kernel has more than {MAX_KERNEL_PIXELS} pixels; cut away what is black around the blur"
        ) from error
    except (ImageError, ValueError) as error:
        raise ConfigurationError(f"the kernel cannot be used: {error}") from error


def file_of(degradation: Degradation) -> str | None:
    """Return where the one file is that the degradation is told by: a mask for all images, or the image of a blur."""
    match degradation:
        case tasks.Inpainting(mask=place) | tasks.OldPhotograph(mask=place) | tasks.Deblurring(kernel_file=place):
            return place
        case _:
            return None


def read_file(degradation: Degradation, *, max_bytes: int, max_pixels: int) -> bytes | None:
    """Return the bytes of that file, after making sure that they are an image; None for tasks without one.

    Raises:
        ConfigurationError: There is none there, it is not an image, or too large.
    """
    place = file_of(degradation)
    if place is None:
        return None
    folder, _, name = place.rpartition("/")
    what = "kernel" if isinstance(degradation, tasks.Deblurring) else "mask"
    try:
        data = open_store(folder or ("/" if place.startswith("/") else "."), writable=False).get(name, limit=max_bytes)
        if what == "kernel":
            decode_kernel(data)
        else:
            decode_mask(data, max_pixels=max_pixels)
    except FileNotFoundError as error:
        raise ConfigurationError(f"the {what} {place} cannot be used: there is no such file") from error
    except (ImageError, ConfigurationError) as error:
        raise ConfigurationError(f"the {what} {place} cannot be used: {error}") from error
    return data


def is_grey(degradation: Degradation) -> bool:
    """Return whether the images that were degraded have lost their colour."""
    return isinstance(degradation, tasks.Colorization) or (
        isinstance(degradation, tasks.OldPhotograph) and degradation.grey
    )
