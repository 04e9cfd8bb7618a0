"""Doubts about a restored image: reasons not to deliver it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from deqir.estimation import Misfit, check_fit, judge
from deqir.estimation.diagnosis.diagnose import quality_of
from deqir.estimation.jpeg import typical_error
from deqir.operators import Colorization, Composition, JpegCompression
from deqir.operators.composition import masks_in
from deqir.protocols import LinearOperator
from pipeline.images.quantisation import luma_table
from pipeline.inputs.frame import Framing
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
    given = prepared.picture.pixels if isinstance(operator, Framing | JpegCompression) else prepared.y
    verdict = judge(
        restored.image.clamp(-1, 1),
        given,
        operator,
        sigma_y=stage.sigma_y,
        misfit=prepared.misfit,
        colour_asked=coloured or prepared.tone is not None,
        exact=single and not own,
    )
    return tuple(f"doubt: {reason}" for reason in verdict.reasons)


def misfit_of(y: Tensor, operator: LinearOperator, data: bytes, *, noise: float) -> Misfit | None:
    """Return the misfit of an observation and its operator; None if there is nothing to judge by.

    Args:
        data: The file; the error of a JPEG is no fault of the operator.
        noise: Of the observation, with the error of JPEG, as a standard deviation of images in [0, 1].
    """
    table = luma_table(data)
    lost = 0.0 if table is None else typical_error(quality_of(table))
    return check_fit(y, operator, sigma_y=max(0.0, 4 * noise**2 - lost**2) ** 0.5, jpeg_noise=lost)


def with_misfit(row: ManifestRow, misfit: Misfit | None) -> ManifestRow:
    """Return a row with a misfit; None: the image is too small to tell."""
    return row if misfit is None else replace(row, misfit=misfit.score, operator_suspect=misfit.suspect)
