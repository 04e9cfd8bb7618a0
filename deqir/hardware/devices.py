"""Devices of networks, and the way of tensors to them."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

STAGED: Final = 2**26
"""Most bytes of a tensor sent through pinned memory, which is taken from all programs and not given back."""


def device_of(name: str | torch.device) -> torch.device:
    """Return a device by its name; "auto" is CUDA if there is a GPU, else the CPU."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def autocast_dtype(kind: str) -> torch.dtype | None:
    """Return autocast's precision on devices of a kind; None if autocast is off."""
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def sent(x: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Return a tensor on a device, unchanged if it is there already.

    From the CPU to an accelerator it goes through pinned memory: other copies wait until the device has finished all
    earlier work, and the device is then idle between two network calls.
    """
    x = x.to(dtype=dtype)
    if device.type == "cpu" or x.device.type != "cpu" or x.nbytes > STAGED:
        return x.to(device)
    return x.contiguous().pin_memory().to(device, non_blocking=True)
