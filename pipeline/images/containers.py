"""Split JPEG, PNG and WebP files into their blocks, without decoding a pixel.

The files may come from anybody. So every walk is bounded, reads headers only, and ends without an error at damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, Literal

Format = Literal["JPEG", "PNG", "WEBP"]
Block = tuple[bytes, int, int]
"""A block's name, and the offsets in the file where its content begins and ends."""

MAX_BLOCKS: Final = 10_000
PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
EXIF_HEADER: Final = b"Exif\0\0"
PHOTOSHOP_HEADER: Final = b"Photoshop 3.0\0"
XMP_HEADER: Final = b"http://ns.adobe.com/xap/1.0/\0"
XMP_KEYWORD: Final = b"XML:com.adobe.xmp\0"
WITHOUT_CONTENT: Final = frozenset((0x00, 0x01, *range(0xD0, 0xD9)))
START_OF_SCAN: Final = 0xDA


def format_of(data: bytes) -> Format | None:
    """Return the format of a file by its first bytes; None for any other format."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(PNG_MAGIC):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    return None


def jpeg_blocks(data: bytes) -> Iterator[Block]:
    """Yield the segments of a JPEG before the first scan. A segment's name is its marker's second byte."""
    at = 2
    for _ in range(MAX_BLOCKS):
        at = data.find(b"\xff", at)
        if at == -1 or at + 4 > len(data) or data[at + 1] == START_OF_SCAN:
            return
        if data[at + 1] == 0xFF:
            at += 1
        elif data[at + 1] in WITHOUT_CONTENT:
            at += 2
        else:
            start, end = at + 4, max(at + 4, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"))
            yield data[at + 1 : at + 2], start, min(end, len(data))
            at = end


def png_blocks(data: bytes) -> Iterator[Block]:
    """Yield the chunks of a PNG before the pixels."""
    at = len(PNG_MAGIC)
    for _ in range(MAX_BLOCKS):
        name, start = data[at + 4 : at + 8], at + 8
        end = start + int.from_bytes(data[at : at + 4], "big")
        if name == b"IDAT" or start >= len(data) or end > len(data):
            return
        yield name, start, end
        at = end + 4


def webp_blocks(data: bytes) -> Iterator[Block]:
    """Yield all chunks of a WebP."""
    at = 12
    for _ in range(MAX_BLOCKS):
        name, start = data[at : at + 4], at + 8
        end = start + int.from_bytes(data[at + 4 : at + 8], "little")
        if start >= len(data) or end > len(data):
            return
        yield name, start, end
        at = end + end % 2


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height from a WebP file's header; None if it gives no size. No canvas is allocated."""
    for name, start, _ in islice(webp_blocks(data), 1):
        head = data[start : start + 10]
        if name == b"VP8X" and len(head) == 10:
            return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
        if name == b"VP8L" and head[:1] == b"\x2f":
            bits = int.from_bytes(head[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if name == b"VP8 " and head[3:6] == b"\x9d\x01\x2a":
            width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (6, 8))
            return width, height
    return None


def split_exif(data: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG file without its EXIF block, and the block; b"" if there is no block."""
    return _split(data, b"\xe1", EXIF_HEADER)


def split_photoshop(data: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG file without its Photoshop resources, and the resources of all segments, joined; b"" if empty."""
    return _split(data, b"\xed", PHOTOSHOP_HEADER)


def xmp_of(data: bytes) -> bytes | None:
    """Return a file's XMP packet; None if the file has no packet, or only a compressed packet."""
    match format_of(data):
        case "JPEG":
            for name, start, end in jpeg_blocks(data):
                if name == b"\xe1" and data.startswith(XMP_HEADER, start, end):
                    return data[start + len(XMP_HEADER) : end]
        case "PNG":
            for name, start, end in png_blocks(data):
                if name == b"iTXt" and data.startswith(XMP_KEYWORD + b"\0\0", start, end):
                    return data[start:end].split(b"\0", 5)[-1]
        case "WEBP":
            for name, start, end in webp_blocks(data):
                if name == b"XMP ":
                    return data[start:end]
    return None


def _split(data: bytes, marker: bytes, header: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG file without the segments of this marker and header, and their content after the header, joined."""
    rest, found, done = list[bytes](), list[bytes](), 0
    for name, start, end in jpeg_blocks(data):
        if name == marker and data.startswith(header, start, end):
            rest.append(data[done : start - 4])
            found.append(data[start + len(header) : end])
            done = end
    return b"".join((*rest, data[done:])), b"".join(found)
