"""Published checkpoints as priors: which kinds are known, and how each becomes a network of ours or diffusers'."""

from __future__ import annotations

from .facts import Facts
from .importing import Imported, Kind, import_prior

__all__ = ["Facts", "Imported", "Kind", "import_prior"]
