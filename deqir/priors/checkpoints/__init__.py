"""Import of published checkpoints as priors: the known kinds, each turned into a network of deqir or diffusers."""

from __future__ import annotations

from .facts import Facts
from .importing import Imported, Kind, import_prior

__all__ = ["Facts", "Imported", "Kind", "import_prior"]
