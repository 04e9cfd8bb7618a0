"""The stage that undoes an image's JPEG compression, from the coefficients in its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from deqir.defaults import Defaults
from deqir.operators import JpegCompression
from deqir.sampling.noise import GREY
from deqir.settings import Settings
from pipeline.errors import NothingToRestoreError
from pipeline.images.codec import Picture
from pipeline.images.jpeg_file import read_jpeg

from .treatment import Stage

FINE: Final = 3.0
"""Mean step of luma, in levels, below which a JPEG loses no more than the rounding of pixels: quality 98 and above."""
SETTINGS: Final[Mapping[str, Any]] = {"eta": Defaults.JPEG_ETA, "kappa": Defaults.JPEG_KAPPA}
"""Settings of the chain that undoes JPEG; steps and noise come with the operator."""


def jpeg_stage(data: bytes, picture: Picture, *, settings: Settings, noise: float = 0.0) -> tuple[Tensor, Stage]:
    """Return y of an image, shape (3, H, W), made up to whole units, and the stage that undoes its compression.

    Args:
        data, picture: The file, and its picture as `decode` gives it.
        settings: The job's; the chain takes JPEG's own in place of defaults.
        noise: Noise that was in the image before its compression, as a standard deviation of images in [0, 1].

    Raises:
        NothingToRestoreError: The file is no JPEG, is a JPEG of another kind, or is one of the finest quality.
    """
    found = read_jpeg(data, orientation=picture.orientation)
    if found is None:
        raise NothingToRestoreError(
            "the file is no JPEG in grey or in colour (YCbCr, 8 bits), so it does not tell how it was compressed; "
            "leave it out, or restore it by another task"
        )
    if float(found.steps[0].mean()) < FINE:
        raise NothingToRestoreError(
            "the file is a JPEG of the finest quality: it lost no more than pixels lose by rounding, and there is "
            "nothing to restore"
        )
    default = Settings()
    own = {name: value for name, value in SETTINGS.items() if getattr(settings, name) == getattr(default, name)}
    operator = JpegCompression.of(found, noise=2 * noise)
    is_grey = len(found.steps) == 1
    sigma = operator.sigma * (GREY if is_grey else 1.0)
    return operator.observation(found), Stage(operator=operator, sigma_y=sigma, settings=own)
