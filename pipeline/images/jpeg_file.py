"""The quantised coefficients of a JPEG file, from Pillow's planes."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import torch
from PIL import JpegImagePlugin

from deqir.operators.jpeg.coefficients import JpegCoefficients
from deqir.operators.jpeg.layout import Layout
from deqir.operators.jpeg.reading import coefficients_of

from . import containers

RGB_NAMES: Final = (82, 71, 66)
"""Names of the components of a JPEG that holds red, green and blue."""


def read_jpeg(data: bytes, *, orientation: int = 1) -> JpegCoefficients | None:
    """Return the coefficients of a JPEG, its image turned upright; None for another file or kind of JPEG.

    Kinds without an operator: CMYK and YCCK, red, green and blue as they are, and 12 bits a sample.

    Args:
        data: A file that `pipeline.images.codec.decode` can read.
        orientation: EXIF's, 1 to 8.
    """
    if containers.format_of(data) != "JPEG":
        return None
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as file:
        ids, factors, tables = zip(*((c[0], (c[2], c[1]), c[3]) for c in file.layer), strict=True)
        if file.mode not in ("L", "RGB") or len(ids) not in (1, 3) or ids == RGB_NAMES:
            return None
        if file.mode == "RGB" and file.info.get("adobe_transform", 1) == 0:
            return None
        try:
            layout = Layout(factors=factors if len(ids) == 3 else ((1, 1),))
            steps = torch.tensor([file.quantization[table] for table in tables], dtype=torch.float32)
        except (ValueError, KeyError):
            return None
        if file.mode == "RGB":
            file.draft("YCbCr", file.size)
        pixels = np.array(file)
    planes = torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)
    return turned(coefficients_of(planes, steps.view(-1, 8, 8), layout), orientation)


def turned(found: JpegCoefficients, orientation: int) -> JpegCoefficients:
    """Return the JPEG of an image turned upright from an orientation of EXIF."""
    if orientation in (5, 6, 7, 8):
        found = found.transposed()
    return found.mirrored(down=orientation in (3, 4, 7, 8), across=orientation in (2, 3, 6, 7))
