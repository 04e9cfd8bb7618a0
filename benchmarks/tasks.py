"""The degradations of the test photographs, each with a simple restoration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

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
    WalshHadamardSensing,
    kernels,
    masks,
)
from deqir.protocols import LinearOperator, SpectralOperator

from .photographs import operator

ROUNDING: Final = 1 / 255 / 12**0.5
HOLE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A degradation of square images; for a framed blur, of a scene with y as its inside.

    Attributes:
        operator: For images of a side.
        noise: Added to y, as a standard deviation of images in [0, 1].
        told: Noise given to the restoration.
        rounded: y is kept in 8 bits, as in a file.
        damping: Damping of the Wiener deconvolution for comparison, chosen for the best mean PSNR.
    """

    operator: Callable[[int], LinearOperator]
    noise: float = 0.0
    told: float = 0.0
    rounded: bool = True
    damping: float | None = None

    def observe(self, A: LinearOperator, x: Tensor) -> Tensor:
        """Return y of an image; the noise is the same each time."""
        y = A(x)
        if self.noise:
            y = y + 2 * self.noise * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
        return ((y * 127.5 + 127.5).round() / 127.5 - 1).clamp(-1, 1) if self.rounded else y

    def shown(self, A: LinearOperator, image: Tensor) -> Tensor:
        """Return the scored part of an image: all of it, except the margin of a scene."""
        return A.framed(image) if isinstance(A, FramedDeblurring) else image

    def rival(self, A: LinearOperator, y: Tensor) -> Tensor:
        """Return the best simple restoration: bicubic interpolation, Wiener deconvolution, diffused fill or A^+ y."""
        if isinstance(A, FramedDeblurring):
            circular = Deblurring(kernel=A.kernel)
            return A.widened(self.rival(circular, circular.tapered(y)))
        if self.damping is not None and isinstance(A, SpectralOperator):
            damping = self.damping
            return A.filter(A.adjoint(y), lambda s: 1 / (s.square() + damping**2))
        if isinstance(A, SuperResolution | KernelSuperResolution):
            return functional.interpolate(y, scale_factor=A.scale, mode="bicubic", align_corners=False)
        return A.pinv(y) if isinstance(A, Denoising | WalshHadamardSensing) else A.start(y)


def _stripes(size: int) -> SpectralOperator:
    """Every sixth row and the next two are lost: bands of 3 pixels."""
    return Inpainting(keep=masks.stripes(size, size, period=6, thickness=3))


def _hole(size: int) -> SpectralOperator:
    return Inpainting(keep=masks.box(size, size, side=HOLE / size))


def _gaussian(width: float) -> Callable[[int], SpectralOperator]:
    return lambda size: SeparableDeblurring(kernel=kernels.gaussian(width))


def _old_photograph(size: int) -> SpectralOperator:
    scratches = Inpainting(keep=masks.scratches(size // 2, size // 2, count=8))
    return Composition(parts=(Colorization(), SuperResolution(scale=2), scratches))


TASKS: Final[Mapping[str, Task]] = {
    "sr2": Task(operator=lambda size: SuperResolution(scale=2)),
    "sr4": Task(operator=lambda size: SuperResolution(scale=4)),
    "sr8": Task(operator=lambda size: SuperResolution(scale=8)),
    "bicubic4": Task(operator=lambda size: KernelSuperResolution(scale=4)),
    "sr4 noisy": Task(operator=lambda size: SuperResolution(scale=4), noise=10 / 255, told=10 / 255),
    "gaussian 1.6": Task(operator=_gaussian(1.6), told=ROUNDING, damping=0.02),
    "gaussian 3": Task(operator=_gaussian(3.0), told=ROUNDING, damping=0.02),
    "motion 15": Task(operator=lambda size: Deblurring(kernel=kernels.motion(15, 30.0)), told=ROUNDING, damping=0.02),
    "motion 15 framed": Task(operator=lambda size: FramedDeblurring(kernel=kernels.motion(15, 30.0)), damping=0.04),
    "text": Task(operator=lambda size: operator("text", size)),
    "random70": Task(operator=lambda size: operator("inpaint70", size)),
    "stripes": Task(operator=_stripes),
    "hole": Task(operator=_hole),
    "colorize": Task(operator=lambda size: Colorization()),
    "denoise 25": Task(operator=lambda size: Denoising(), noise=25 / 255, told=25 / 255),
    "sensing 25": Task(operator=lambda size: WalshHadamardSensing(share=0.25), rounded=False),
    "old photograph": Task(operator=_old_photograph),
}
