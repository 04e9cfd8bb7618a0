"""Read an EXIF block and correct it in place: only bytes about this file's pixels change.

Writing a new block would lose text outside ASCII, and would break pointers inside makers' notes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

IMAGE_WIDTH: Final = 0x0100
IMAGE_HEIGHT: Final = 0x0101
ORIENTATION: Final = 0x0112
X_RESOLUTION: Final = 0x011A
Y_RESOLUTION: Final = 0x011B
RESOLUTION_UNIT: Final = 0x0128
THUMBNAIL: Final = 0x0201
THUMBNAIL_SIZE: Final = 0x0202
EXIF_DIRECTORY: Final = 0x8769
PIXEL_WIDTH: Final = 0xA002
PIXEL_HEIGHT: Final = 0xA003
PICTURES: Final = 0xB002

SHORT: Final = 3
LONG: Final = 4
RATIONAL: Final = 5
PER_INCH: Final = {2: 1.0, 3: 2.54}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One tag of a directory.

    Attributes:
        at: Offset of its twelve bytes in the block.
        tag, kind, count: The tag's number, the type of its values and their count.
        value: The value if it is a single whole number, else the offset of the values.
    """

    at: int
    tag: int
    kind: int
    count: int
    value: int

    @property
    def is_whole(self) -> bool:
        """True if the value is a single whole number."""
        return self.kind in (SHORT, LONG) and self.count == 1


class _Directory(NamedTuple):
    """The tags of a directory, and the offset of the pointer to the next one; None if the block ends before it."""

    entries: dict[int, _Entry]
    next_at: int | None


def orientation(block: bytes) -> int | None:
    """Return the orientation of the pixels, 1 to 8; None if the block does not give it."""
    entry = _first(block).entries.get(ORIENTATION)
    return entry.value if entry is not None and entry.is_whole and 1 <= entry.value <= 8 else None


def dpi(block: bytes) -> tuple[float, float] | None:
    """Return the pixels per inch, across and down; None if the block does not give them."""
    entries = _first(block).entries
    unit = entries.get(RESOLUTION_UNIT)
    scale = PER_INCH.get(unit.value) if unit is not None else 1.0
    across, down = (_rational(block, entries.get(tag)) for tag in (X_RESOLUTION, Y_RESOLUTION))
    return (across * scale, down * scale) if scale and across and down else None


def upright(block: bytes) -> bytes:
    """Return the block for upright pixels: with orientation 1 and without thumbnail."""
    patched, order, first = bytearray(block), _order(block), _first(block)
    if ORIENTATION in first.entries:
        _write(patched, order, first.entries[ORIENTATION], 1)
    if first.next_at is None:
        return bytes(patched)
    (following,) = struct.unpack_from(f"{order}I", block, first.next_at)
    struct.pack_into(f"{order}I", patched, first.next_at, 0)
    thumbnail = _directory(block, following).entries
    if THUMBNAIL in thumbnail and THUMBNAIL_SIZE in thumbnail:
        start = thumbnail[THUMBNAIL].value
        end = min(start + thumbnail[THUMBNAIL_SIZE].value, len(block))
        if block[start : start + 2] == b"\xff\xd8":
            patched[start:end] = bytes(end - start) if end < len(block) else b""
    return bytes(patched)


def resized(block: bytes, *, width: int, height: int) -> bytes:
    """Return the block with its size tags set to this width and height; a missing tag is not added."""
    patched, order, first = bytearray(block), _order(block), _first(block)
    pointer = first.entries.get(EXIF_DIRECTORY)
    entries = first.entries | (_directory(block, pointer.value).entries if pointer is not None else {})
    for tag, size in (
        (IMAGE_WIDTH, width),
        (IMAGE_HEIGHT, height),
        (PIXEL_WIDTH, width),
        (PIXEL_HEIGHT, height),
    ):
        if tag in entries:
            _write(patched, order, entries[tag], size)
    return bytes(patched)


def pictures(block: bytes) -> list[int]:
    """Return the type of each picture in a file of several pictures, from the file's index (CIPA DC-007)."""
    entry = _first(block).entries.get(PICTURES)
    if entry is None:
        return []
    table = block[entry.value : entry.value + entry.count]
    return [
        attribute & 0xFFFFFF
        for attribute, *_ in struct.iter_unpack(f"{_order(block)}IIIHH", table[: len(table) // 16 * 16])
    ]


def _order(block: bytes) -> str:
    """Return the block's byte order as `struct` names it."""
    return ">" if block.startswith(b"MM") else "<"


def _first(block: bytes) -> _Directory:
    """Return the first directory, without entries if the bytes are not an EXIF block."""
    if block[:4] not in (b"II*\0", b"MM\0*") or len(block) < 8:
        return _Directory({}, None)
    return _directory(block, *struct.unpack_from(f"{_order(block)}I", block, 4))


def _directory(block: bytes, at: int) -> _Directory:
    """Return the directory at an offset, as far as the block holds it. Of a repeated tag, the first entry counts."""
    order = _order(block)
    if not 8 <= at <= len(block) - 2:
        return _Directory({}, None)
    (count,) = struct.unpack_from(f"{order}H", block, at)
    next_at, entries = at + 2 + 12 * count, dict[int, _Entry]()
    for place in range(at + 2, min(next_at, len(block) - 11), 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", block, place)
        short = kind == SHORT and number == 1
        (value,) = struct.unpack_from(f"{order}{'H' if short else 'I'}", block, place + 8)
        entries.setdefault(tag, _Entry(at=place, tag=tag, kind=kind, count=number, value=value))
    return _Directory(entries, next_at if next_at + 4 <= len(block) else None)


def _write(block: bytearray, order: str, entry: _Entry, value: int) -> None:
    """Set the value of a tag, widening its type to LONG if needed; a tag of other values is left as it is."""
    if not entry.is_whole:
        return
    if entry.kind == SHORT and value < 2**16:
        struct.pack_into(f"{order}H", block, entry.at + 8, value)
    else:
        struct.pack_into(f"{order}H", block, entry.at + 2, LONG)
        struct.pack_into(f"{order}I", block, entry.at + 8, value)


def _rational(block: bytes, entry: _Entry | None) -> float | None:
    """Return the value of a tag of type RATIONAL; None for any other tag."""
    if entry is None or entry.kind != RATIONAL or entry.value + 8 > len(block):
        return None
    numerator, denominator = struct.unpack_from(f"{_order(block)}II", block, entry.value)
    return numerator / denominator if denominator else None
