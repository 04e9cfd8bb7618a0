"""Degradations y = A x. Each is a frozen dataclass; a new one needs no base class."""

from __future__ import annotations

from deqir.linalg import kernels as kernels
from deqir.linalg.sharpening import UnsharpMask

from . import masks as masks
from .adapters import from_deepinv
from .blur.convolution import Deblurring
from .blur.framed import FramedDeblurring
from .blur.separable import KernelSuperResolution, SeparableDeblurring
from .colorization import Colorization
from .composition import Composition
from .compressed_sensing import BlockSensing, WalshHadamardSensing
from .denoising import Denoising
from .inpainting import Inpainting
from .matrix_free import ConvergenceError, MatrixFree
from .super_resolution import NearestSuperResolution, SuperResolution

__all__ = [
    "BlockSensing",
    "Colorization",
    "Composition",
    "ConvergenceError",
    "Deblurring",
    "Denoising",
    "FramedDeblurring",
    "Inpainting",
    "KernelSuperResolution",
    "MatrixFree",
    "NearestSuperResolution",
    "SeparableDeblurring",
    "SuperResolution",
    "UnsharpMask",
    "WalshHadamardSensing",
    "from_deepinv",
]
