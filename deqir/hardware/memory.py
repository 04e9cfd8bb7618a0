"""Memory of a device: the errors of running out, freeing, and the size of a recorded call."""

from __future__ import annotations

from typing import Final

import torch

FEW_CALLS: Final = 8
"""Calls of a kind before a call of this kind is recorded, see `deqir.hardware.cuda_graphs`."""
MOST_PIXELS: Final = 2**18
"""Most pixels in all images of a recorded call; larger calls keep a GPU busy anyway, and a record keeps its memory."""


def out_of_memory(error: BaseException) -> bool:
    """Return True if memory ran out: Python's, the GPU's, or in an error without a class of its own in torch."""
    known = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUFFT_ALLOC_FAILED", "unable to find an engine to")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(name in str(error) for name in known)


def free_cached_memory(device: torch.device) -> None:
    """Give the device's cached blocks back, so that a smaller attempt finds them in one piece."""
    if device.type != "cpu":
        torch.get_device_module(device).empty_cache()
