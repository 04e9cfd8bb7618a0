"""The precisions in which a GPU takes products and convolutions."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import torch

from deqir import Prior, in_half_precision
from deqir.hardware.cuda_graphs import GraphedDenoiser
from deqir.priors.prior import captured

PRECISIONS: Final = ("float32", "TF32", "float16", "bfloat16")
DTYPES: Final = {
    "default": torch.float32,
    "float32": torch.float32,
    "TF32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Let float32 be rounded to 11 bits before products and convolutions, or not; torch lets convolutions unasked."""
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions of torch have other names for them
        before = cudnn.allow_tf32, products.allow_tf32
        cudnn.allow_tf32 = products.allow_tf32 = allowed
        try:
            yield
        finally:
            cudnn.allow_tf32, products.allow_tf32 = before


def working_in(prior: Prior, precision: str) -> Prior:
    """Return a prior whose network works in a precision; `tf32` selects between the two 32-bit precisions."""
    if isinstance(prior.denoiser, GraphedDenoiser):  # what was recorded of 32 bits stays as it was then
        prior = captured(unrecorded(prior))
    dtype = DTYPES[precision]
    return prior if dtype == torch.float32 else in_half_precision(prior, dtype)


def unrecorded(prior: Prior) -> Prior:
    """Return a prior whose calls are not recorded as CUDA graphs."""
    denoiser = prior.denoiser
    return replace(prior, denoiser=denoiser.denoiser) if isinstance(denoiser, GraphedDenoiser) else prior
