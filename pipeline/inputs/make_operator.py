"""From a job's degradation to its operator, and the file that some degradations need."""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor

from deqir.operators import (
    Colorization,
    Composition,
    Deblurring,
    Denoising,
    FramedDeblurring,
    Inpainting,
    KernelSuperResolution,
    NearestSuperResolution,
    SeparableDeblurring,
    SuperResolution,
    UnsharpMask,
    kernels,
)
from deqir.protocols import LinearOperator, SpectralOperator
from deqir.sampling.noise import GREY
from pipeline.config import RuntimeConfig
from pipeline.degradation import USUAL_WIDTH, Degradation, is_framed
from pipeline.errors import ConfigurationError, ImageError, ImageTooLargeError
from pipeline.images.codec import decode, decode_mask
from pipeline.store import read_object_at

TILED: Final = 0.05
"""Least share of the largest singular value in the inverse of a blur, if a scene is taken for tiles of y."""
FINEST: Final = 1e-3
"""Least tolerance of the inverse of a framed blur."""
KNOWN: Final = 75 / 255
"""Strongest noise known to the priors for plain denoisers; the start of a grey image needs no more."""
MAX_KERNEL_PIXELS: Final = 255 * 255
FAINT: Final = 0.01
"""Share of its brightest pixel below which the picture of a blur is taken for black: a JPEG's black is not."""


def make_operator(
    degradation: Degradation,
    *,
    keep: Tensor | None = None,
    file: bytes | None = None,
    noise: float | Literal["auto"] = 0.0,
    in_colour: bool = False,
) -> LinearOperator:
    """Return A; for auto the operator of its last stage, where an image needs one.

    Args:
        degradation: As the job says it.
        keep: Which pixels of the source images are not damaged, shape (H, W); None: all.
        file: The image of a blur, where there is one.
        noise: Of the images, as a standard deviation of images in [0, 1].
        in_colour: The image has kept its colour, where the degradation takes it away.

    Raises:
        ConfigurationError: The file is no kernel.
        ValueError: The mask keeps nothing.
    """
    match degradation.task:
        case "auto":
            return SuperResolution(scale=degradation.scale) if degradation.scale > 1 else Denoising()
        case "sr":
            return shrinking(degradation)
        case "deblur":
            return deblurring(degradation, file, noise=noise)
        case "colorize":
            return Colorization()
        case "denoise":
            return denoising(noise)
        case "inpaint":
            return Inpainting(keep=torch.ones(1, 1, dtype=torch.bool) if keep is None else keep)
        case "old-photo":
            parts: list[SpectralOperator] = []
            if is_grey(degradation) and not in_colour:
                parts.append(Colorization())
            if degradation.scale > 1:
                parts.append(SuperResolution(scale=degradation.scale))
            if keep is not None:
                parts.append(Inpainting(keep=keep))
            if not parts:
                return denoising(noise)
            return Composition(parts=parts) if len(parts) > 1 else parts[0]


def shrinking(degradation: Degradation) -> LinearOperator:
    """Return the filter that made the images smaller."""
    scale = degradation.scale
    match degradation.kernel:
        case "average" | "area":
            return SuperResolution(scale=scale)
        case "bicubic" | "lanczos":
            return KernelSuperResolution(scale=scale, kernel=degradation.kernel)
        case "nearest":
            return NearestSuperResolution(scale=scale)
        case "sharpened":
            return KernelSuperResolution(scale=scale, sharpening=UnsharpMask())


def denoising(noise: float | Literal["auto"]) -> Denoising:
    """Return A = I, with a start noise for this noise."""
    covered = Denoising().start_noise
    return Denoising(start_noise=covered if noise == "auto" else max(covered, noise, min(GREY * noise, KNOWN)))


def deblurring(degradation: Degradation, file: bytes | None, *, noise: float | Literal["auto"]) -> LinearOperator:
    """Return the blur; a width to be estimated is taken for a usual one."""
    width = USUAL_WIDTH if degradation.width is None or degradation.width == "auto" else degradation.width
    match degradation.blur:
        case "gaussian":
            return SeparableDeblurring(kernel=kernels.gaussian(width))
        case "uniform":
            return SeparableDeblurring(kernel=kernels.uniform(max(1, round(width))))
        case "motion":
            kernel = kernels.motion(width, degradation.angle)
        case "file":
            kernel = decode_kernel(file or b"")
    if noise != "auto" and is_framed(degradation, noise=noise):
        return FramedDeblurring(kernel=kernel, tolerance=max(FINEST, 2 * noise))
    return Deblurring(kernel=kernel, threshold=TILED)


def decode_kernel(data: bytes) -> Tensor:
    """Return the picture of a blur as a kernel of odd sides, shape (n, m).

    Raises:
        ConfigurationError: The bytes are no image of a known format, or a black image.
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
    """Return the place of the degradation's file, if it has one: a mask for all images, or the image of a blur."""
    return degradation.kernel_file or degradation.mask


def read_file(degradation: Degradation, *, limits: RuntimeConfig) -> bytes | None:
    """Return the bytes of the degradation's file, after a check that they are an image; None without a file.

    Raises:
        ConfigurationError: There is none there, it is not an image, or too large.
    """
    place = file_of(degradation)
    if place is None:
        return None
    what = "kernel" if degradation.task == "deblur" else "mask"
    try:
        data = read_object_at(place, limit=limits.max_bytes)
        if what == "kernel":
            decode_kernel(data)
        else:
            decode_mask(data, max_pixels=limits.max_pixels)
    except FileNotFoundError as error:
        raise ConfigurationError(f"the {what} {place} cannot be used: there is no such file") from error
    except (ImageError, ConfigurationError) as error:
        raise ConfigurationError(f"the {what} {place} cannot be used: {error}") from error
    return data


def is_grey(degradation: Degradation) -> bool:
    """True if the degraded images have lost their colour, and are given one."""
    return degradation.task == "colorize" or bool(degradation.grey) or degradation.colour == "yes"


def has_parts(degradation: Degradation) -> bool:
    """True if an image in colour has something to be restored where others have lost their colour."""
    return degradation.scale > 1 or degradation.mask is not None or degradation.masks is not None
