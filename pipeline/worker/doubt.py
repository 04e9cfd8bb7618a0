"""Doubts about a restored image: reasons not to deliver it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deqir.estimation import Misfit, judge
from deqir.operators import Colorization, Composition, JpegCompression
from deqir.operators.composition import masks_in
from pipeline.inputs.frame import Framing
from pipeline.inputs.noise import in_each_channel
from pipeline.manifest.schema import ManifestRow

if TYPE_CHECKING:
    from .solve import Restored


def doubts_of(restored: Restored) -> tuple[str, ...]:
    """Return the reasons not to trust a restored image, each with a beginning for counts; empty if it is trusted.

    After several stages, and where y tells its noise in another way, the verdict looks at the pixels alone.
    """
    prepared, stage = restored.prepared, restored.prepared.stages[-1]
    operator, single = stage.operator, len(prepared.stages) == 1
    parts = operator.parts if isinstance(operator, Composition) else (operator,)
    coloured = any(isinstance(part, Colorization) for part in parts)
    own = isinstance(operator, Framing | JpegCompression) or bool(masks_in(operator))
    first = prepared.stages[0].operator  # y of a JPEG is no picture
    given = prepared.picture.pixels if isinstance(first, Framing | JpegCompression) else prepared.y
    verdict = judge(
        restored.image.clamp(-1, 1),
        given,
        operator,
        sigma_y=in_each_channel(stage.sigma_y, prepared.y),
        misfit=prepared.misfit,
        colour_asked=coloured or prepared.tone is not None,
        exact=single and not own,
    )
    return verdict.reasons


def with_misfit(row: ManifestRow, misfit: Misfit | None) -> ManifestRow:
    """Return a row with a misfit; None: the image is too small to tell."""
    return row if misfit is None else replace(row, misfit=misfit.score, operator_suspect=misfit.suspect)
