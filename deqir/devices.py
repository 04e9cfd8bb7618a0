"""Where networks run."""

from __future__ import annotations

import torch


def device_of(name: str | torch.device) -> torch.device:
    """Return a device by its name; "auto" is CUDA where there is one, else the CPU."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
