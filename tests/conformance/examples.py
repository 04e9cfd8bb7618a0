"""Small examples of every operator exported by `deqir.operators`, each with the shape of an image for it."""

from __future__ import annotations

from typing import Final

import torch

from deqir.operators import (
    BlockSensing,
    Colorization,
    Composition,
    Deblurring,
    Denoising,
    FramedDeblurring,
    Inpainting,
    KernelSuperResolution,
    MatrixFree,
    NearestSuperResolution,
    SeparableDeblurring,
    SuperResolution,
    UnsharpMask,
    WalshHadamardSensing,
    kernels,
    masks,
)
from deqir.protocols import LinearOperator
from tests.conformance.dense import Shape

SEEN: Final = masks.random(8, 12, lost=0.4)
EACH: Final = torch.stack([masks.random(8, 12, lost=lost, seed=9) for lost in (0.2, 0.5, 0.8)])
NARROW: Final = kernels.gaussian(0.6)
ONE_SIDED: Final = torch.tensor([[0.0, 0.1, 0.2, 0.0], [0.3, 1.0, 0.1, 0.1], [0.1, 0.2, 0.0, 0.0]])
UNCUT: Final = 1e-3  # below the singular values of that kernel

EXAMPLES: Final[dict[str, tuple[LinearOperator, Shape]]] = {
    "sr2": (SuperResolution(scale=2), (3, 8, 12)),
    "bicubic2": (KernelSuperResolution(scale=2), (3, 8, 12)),
    "lanczos2": (KernelSuperResolution(scale=2, kernel="lanczos"), (3, 8, 12)),
    "nearest2": (NearestSuperResolution(scale=2), (3, 8, 12)),
    "nearest-first": (NearestSuperResolution(scale=(3, 2), place=(0, 1)), (1, 9, 8)),
    "sharpened2": (KernelSuperResolution(scale=2, sharpening=UnsharpMask()), (3, 8, 12)),
    "deblur": (Deblurring(kernel=torch.outer(NARROW, NARROW), boundary="reflect", threshold=UNCUT), (1, 7, 10)),
    "deblur-framed": (FramedDeblurring(kernel=ONE_SIDED, tolerance=1e-14), (1, 9, 11)),
    "deblur-axes": (SeparableDeblurring(kernel=NARROW, threshold=UNCUT), (1, 7, 10)),
    "inpaint": (Inpainting(keep=SEEN), (3, 8, 12)),
    "inpaint-channels": (Inpainting(keep=EACH), (3, 8, 12)),
    "colorize": (Colorization(), (3, 5, 7)),
    "denoise": (Denoising(), (2, 5, 7)),
    "walsh-hadamard": (WalshHadamardSensing(share=0.3), (3, 5, 7)),
    "blocks": (BlockSensing(share=0.3, block=4), (2, 9, 10)),
    "old-photograph": (
        Composition(parts=(Inpainting(keep=SEEN), Colorization(), SuperResolution(scale=2))),
        (3, 8, 12),
    ),
    "matrix-free": (
        MatrixFree.of_parts(
            (SeparableDeblurring(kernel=NARROW), Inpainting(keep=SEEN), SuperResolution(scale=2)),
            (3, 8, 12),
            tolerance=1e-14,
        ),
        (3, 8, 12),
    ),
}
