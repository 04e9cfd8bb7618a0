"""Degradations y = A x. Each is a frozen dataclass; a new one needs no base class."""

from __future__ import annotations

from .colorization import Colorization
from .inpainting import Inpainting
from .super_resolution import SuperResolution

__all__ = ["Colorization", "Inpainting", "SuperResolution"]
