"""From a job's degradation to the operator that knows it, for all images or for each, and to what each observes."""

from __future__ import annotations

from collections.abc import Mapping
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
from .errors import (
    UNREADABLE,
    ConfigurationError,
    ImageError,
    ImageTooLargeError,
    MaskError,
    OperatorMismatchError,
)
from .images import decode, decode_mask
from .reference import companion, index
from .store import Store, open_store
from .tasks import Degradation

TILED: Final = 0.05
"""Least share of the largest singular value that the inverse of a blur uses where a scene is taken for tiles of y."""
FINEST: Final = 1e-3
"""Least tolerance of the inverse of a framed blur."""
MAX_KERNEL_PIXELS: Final = 255 * 255
FAINT: Final = 0.01
"""Share of its brightest pixel below which the picture of a blur is taken for black: a JPEG's black is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """Masks of images under the images' own keys.

    Attributes:
        store: Where they are.
        keys: Their keys by key without extension.
        max_bytes: Largest file read.
    """

    store: Store
    keys: Mapping[str, str]
    max_bytes: int

    def of(self, source_key: str) -> Tensor:
        """Return which pixels of an image are damaged, bool of shape (H, W).

        Raises:
            MaskError: It has no mask, or one that cannot be read.
        """
        key = companion(self.keys, source_key)
        if key is None:
            raise MaskError(f"{self.store.url} has no mask for {source_key}: put one there under that key, then retry")
        try:
            return decode_mask(self.store.get(key, limit=self.max_bytes))
        except UNREADABLE as error:
            raise MaskError(f"the mask {self.store.url}/{key} cannot be used: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """What a job undoes: one operator for all images, or one for each where each has its mask.

    Attributes:
        degradation: As the job says it.
        operator: For all images; with masks for each, the one of an image without damage.
        masks: One for each image; None: `operator` is for all.
        noise: Of the images, as a standard deviation of images in [0, 1]; auto: estimated for each.
    """

    degradation: Degradation
    operator: LinearOperator
    masks: Masks | None
    noise: float | Literal["auto"]

    def of(self, source_key: str) -> LinearOperator:
        """Return the operator of one image.

        Raises:
            MaskError: It has no mask that can be used.
        """
        if self.masks is None:
            return self.operator
        try:
            return make_operator(self.degradation, keep=~self.masks.of(source_key))
        except ValueError as error:
            raise MaskError(f"the mask of {source_key} cannot be used: {error}") from error

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
) -> Undoing:
    """Return what undoes a degradation.

    Args:
        degradation: As the job says it.
        file: What `read_file` gave for it.
        noise: Of the images; None: what is usual for the task.
        max_bytes: Largest mask read, where each image has its own.

    Raises:
        ConfigurationError: The masks cannot be listed, or the file is no kernel.
    """
    noise = tasks.usual_noise(degradation) if noise is None else noise
    prefix = degradation.masks if isinstance(degradation, tasks.Inpainting | tasks.OldPhotograph) else None
    if prefix is None:
        keep = None if file is None or isinstance(degradation, tasks.Deblurring) else ~decode_mask(file)
        operator = make_operator(degradation, keep=keep, file=file, noise=noise)
        return Undoing(degradation=degradation, operator=operator, masks=None, noise=noise)
    store = open_store(prefix, writable=False)
    unharmed = make_operator(degradation, keep=torch.ones(1, 1, dtype=torch.bool))
    masks = Masks(store=store, keys=index(store), max_bytes=max_bytes)
    return Undoing(degradation=degradation, operator=unharmed, masks=masks, noise=noise)


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


def read_file(degradation: Degradation, *, limit: int) -> bytes | None:
    """Return the bytes of that file, after making sure that they are an image; None for tasks without one.

    Raises:
        ConfigurationError: There is none there, it is not an image or has more than `limit` bytes.
    """
    place = file_of(degradation)
    if place is None:
        return None
    folder, _, name = place.rpartition("/")
    what = "kernel" if isinstance(degradation, tasks.Deblurring) else "mask"
    try:
        data = open_store(folder or ("/" if place.startswith("/") else "."), writable=False).get(name, limit=limit)
        if what == "kernel":
            decode_kernel(data)
        else:
            decode_mask(data)
    except (FileNotFoundError, ImageError, ConfigurationError) as error:
        raise ConfigurationError(f"the {what} {place} cannot be used: {error}") from error
    return data


def is_grey(degradation: Degradation) -> bool:
    """Return whether the images that were degraded have lost their colour."""
    return isinstance(degradation, tasks.Colorization) or (
        isinstance(degradation, tasks.OldPhotograph) and degradation.grey
    )
