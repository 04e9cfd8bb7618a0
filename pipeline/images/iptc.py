"""Read and write the IPTC record, in which picture libraries keep a caption: one resource of a Photoshop block.

The block's other resources are dropped: they are thumbnails, sizes and settings of the old pixels, or repeat other
metadata of the file.
"""

from __future__ import annotations

import struct
from typing import Final

from .containers import PHOTOSHOP_HEADER

RECORD: Final = 0x0404
LARGEST: Final = 2**20
"""Bytes of the largest record that is kept. Captions have hundreds of bytes."""
SIGNATURE: Final = b"8BIM"
MARKER: Final = b"\xff\xed"
SEGMENT: Final = 65_533 - len(PHOTOSHOP_HEADER)
DIGITS: Final = 72
PNG_KEYWORD: Final = "Raw profile type iptc"


def record_in(block: bytes) -> bytes | None:
    """Return the IPTC record in a row of resources, as far as it is complete; None if missing or above `LARGEST`."""
    at = 0
    while block.startswith(SIGNATURE, at) and at + 12 <= len(block):
        kind, name = struct.unpack_from(">HB", block, at + 4)
        start = at + 6 + _even(1 + name) + 4
        size = int.from_bytes(block[start - 4 : start], "big")
        if kind == RECORD:
            return block[start : start + size] or None if size <= LARGEST else None
        at = start + _even(size)
    return None


def segments(record: bytes) -> bytes:
    """Return a record as segments of a JPEG, as many as it needs, joined."""
    block = _resource(record)
    return b"".join(
        MARKER + struct.pack(">H", 2 + len(PHOTOSHOP_HEADER) + len(part)) + PHOTOSHOP_HEADER + part
        for part in (block[at : at + SEGMENT] for at in range(0, len(block), SEGMENT))
    )


def text_of(record: bytes) -> str:
    """Return a record as hexadecimal text, as ImageMagick writes it into a PNG under `PNG_KEYWORD`."""
    block = _resource(record)
    digits = block.hex()
    lines = (digits[at : at + DIGITS] for at in range(0, len(digits), DIGITS))
    return "\n".join(("", "iptc", f"{len(block):8}", *lines, ""))


def _resource(record: bytes) -> bytes:
    padding = bytes(len(record) % 2)
    return SIGNATURE + struct.pack(">HHI", RECORD, 0, len(record)) + record + padding


def _even(size: int) -> int:
    return size + size % 2
