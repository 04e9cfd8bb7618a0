"""Doubts about a restored image: reasons not to deliver it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from deqir.estimation import Misfit
from pipeline.manifest.schema import ManifestRow

if TYPE_CHECKING:
    from .solve import Restored

WORDS: Final = {
    "softer": "softer than the degradation makes images",
    "sharper": "sharper than the degradation makes images",
    "unlike": "unlike a photograph after the degradation",
    "noisier": "noisier than the assumed noise",
}
"""What each distance of a misfit says of the given image."""


def doubts_of(restored: Restored) -> tuple[str, ...]:
    """Return the reasons not to trust a restored image, each with a beginning for counts; empty if it is trusted."""
    misfit = restored.prepared.misfit
    return () if misfit is None or not misfit.suspect else (_told(misfit),)


def with_misfit(row: ManifestRow, misfit: Misfit | None) -> ManifestRow:
    """Return a row with a misfit; None: the image is too small to tell."""
    return row if misfit is None else replace(row, misfit=misfit.score, operator_suspect=misfit.suspect)


def _told(misfit: Misfit) -> str:
    clearest = max(WORDS, key=lambda name: float(getattr(misfit, name)))
    return f"operator: the given image is {WORDS[clearest]} (misfit {misfit.score:.2g}; more than 1 is suspect)"
