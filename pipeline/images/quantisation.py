"""Quantisation tables from the header of a JPEG file, without decoding a pixel."""

from __future__ import annotations

from typing import Final

import torch

from deqir.estimation.diagnosis import quality_of
from deqir.estimation.jpeg import typical_error

from . import exif
from .containers import format_of, jpeg_blocks, split_exif

TABLES: Final = b"\xdb"
FINE: Final = 90
"""Highest quality of a JPEG whose loss counts as noise."""
FRAMES: Final = frozenset((0xC0, 0xC1, 0xC2))
"""Markers of frames that Pillow decodes: baseline, extended and progressive."""
ZIGZAG: Final = tuple(
    row * 8 + column
    for row, column in sorted(
        ((row, column) for row in range(8) for column in range(8)),
        key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]),
    )
)
"""Place of each step of a file's table in the block, row by row (ITU-T T.81, figure A.6)."""


def luma_table(data: bytes) -> torch.Tensor | None:
    """Return the steps of a JPEG's first component, luma, shape (8, 8), vertical frequency first.

    None for other formats, for a header without them, and for a picture that EXIF turns: its blocks may not lie on
    the corner of the upright pixels.
    """
    if format_of(data) != "JPEG" or (exif.orientation(split_exif(data)[1]) or 1) != 1:
        return None
    tables, wanted = dict[int, list[int]](), None
    for name, start, end in jpeg_blocks(data):
        if name == TABLES:
            tables |= _tables(data[start:end])
        elif name[0] in FRAMES and end - start >= 9:
            wanted = data[start + 8]
    steps = None if wanted is None else tables.get(wanted)
    if steps is None or min(steps) < 1:
        return None
    table = torch.zeros(64)
    table[list(ZIGZAG)] = torch.tensor(steps, dtype=torch.float32)
    return table.reshape(8, 8)


def loss_of(data: bytes) -> float:
    """Return the usual error of a JPEG's pixels, as a standard deviation of images in [0, 1].

    0 for other files and for JPEGs above `FINE`, which lose little more than pixels do by rounding.
    """
    table = luma_table(data)
    quality = FINE + 1 if table is None else quality_of(table)
    return typical_error(quality) / 2 if quality <= FINE else 0.0


def _tables(segment: bytes) -> dict[int, list[int]]:
    """Return the tables in a segment by their number; a rest that is cut off is left out."""
    found, at = dict[int, list[int]](), 0
    while at < len(segment):
        wide, number = segment[at] >> 4, segment[at] & 15
        size = 128 if wide else 64
        values = segment[at + 1 : at + 1 + size]
        if len(values) < size:
            break
        found[number] = [int.from_bytes(values[n : n + 2], "big") for n in range(0, size, 2)] if wide else list(values)
        at += 1 + size
    return found
