"""Memory of a device: the errors of running out, freeing, and the size of a recorded call."""

from __future__ import annotations

from typing import Final

import torch

FEW_CALLS: Final = 8
"""Calls after which one of the same kind is recorded, see `deqir.hardware.cuda_graphs`."""


MOST_PIXELS: Final = 2**18
"""Of a call that is recorded, all its images together; larger ones keep a GPU busy, and a record keeps its memory."""


def out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out: Python's, the GPU's, or those for which torch has no class."""
    known = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUFFT_ALLOC_FAILED", "unable to find an engine to")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(name in str(error) for name in known)


def free_cached_memory(device: torch.device) -> None:
    """Give the device's cached blocks back, so that a smaller attempt finds them in one piece."""
    if device.type != "cpu":
        torch.get_device_module(device).empty_cache()
