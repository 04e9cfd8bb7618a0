"""Collect the metadata of an image file to copy into its restored image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import exif, iptc, xmp
from .containers import EXIF_HEADER

ICC_SPACE: Final = {"L": b"GRAY", "RGB": b"RGB "}
PNG_COLOUR: Final = frozenset((b"cHRM", b"cICP", b"gAMA", b"sRGB"))
SRGB_GAMMA: Final = 45_455
SRGB_CODE: Final = b"\x01\x0d\x00\x01"
COMMENT: Final = "Comment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Metadata of a picture with upright pixels. None and () mean that the file has no such entry.

    Attributes:
        icc: ICC profile.
        exif: EXIF block without orientation and thumbnail, from its TIFF header on.
        xmp: XMP packet without orientation, thumbnails and the provenance of an earlier job.
        iptc: IPTC record: caption, author, place and the like.
        dpi: Pixels per inch, across and down, of the upright picture.
        texts: Keywords and texts: a JPEG's comment as "Comment", all texts of a PNG.
        colour: Names and contents of the chunks in which a PNG states its colour space.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    texts: tuple[tuple[str, str], ...] = ()
    colour: tuple[tuple[bytes, bytes], ...] = ()

    def icc_for(self, mode: str) -> bytes | None:
        """Return the profile if it is for images of this mode, "L" or "RGB"; else None."""
        return self.icc if self.icc is not None and self.icc[16:20] == ICC_SPACE[mode] else None

    @property
    def only_png_can_say_it(self) -> bool:
        """True if the pixels' values are not in sRGB and no ICC profile states their colour space."""
        chunks = dict(self.colour)
        if self.icc is not None:
            return False
        if b"cICP" in chunks:
            return chunks[b"cICP"] != SRGB_CODE
        if b"gAMA" not in chunks or b"sRGB" in chunks:
            return False
        return abs(int.from_bytes(chunks[b"gAMA"], "big") - SRGB_GAMMA) > SRGB_GAMMA // 100


def metadata_of(
    info: Mapping[Any, Any],
    *,
    block: bytes,
    resources: bytes,
    texts: Mapping[str, str],
    colour: tuple[tuple[bytes, bytes], ...],
) -> tuple[Metadata, int]:
    """Return a file's metadata for upright pixels, and the orientation (EXIF's 1 to 8) to turn the pixels by.

    Args:
        info: Pillow's `Image.info`. In a PNG, a text chunk can fake any entry.
        block: The EXIF block if it is not in `info`.
        resources: Photoshop resources of a JPEG.
        texts, colour: Texts by keyword and colour chunks of a PNG.
    """
    block = block or _exif_in(info)
    packet = _bytes(info.get("xmp"))
    order = exif.orientation(block) or xmp.orientation(packet) or 1
    metadata = Metadata(
        icc=_bytes(info.get("icc_profile")) or None,
        exif=exif.upright(block) or None,
        xmp=xmp.upright(packet),
        iptc=iptc.record_in(resources or _raw_profile(info.get(iptc.PNG_KEYWORD))),
        dpi=_dpi(info.get("dpi") or exif.dpi(block), turned=order > 4),
        texts=tuple((key, str(text)) for key, text in texts.items() if _is_text(key)) or _comment(info),
        colour=colour,
    )
    return metadata, order


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _exif_in(info: Mapping[Any, Any]) -> bytes:
    """Return the EXIF block of a PNG or WebP file, also where old programs wrote it as text."""
    block = _bytes(info.get("exif")) or _raw_profile(info.get("Raw profile type exif"))
    return block.removeprefix(EXIF_HEADER)


def _raw_profile(text: object) -> bytes:
    """Return the bytes written in hexadecimal in a PNG's text, below its name and size lines; b"" if it has none."""
    try:
        return bytes.fromhex("".join(str(text or "").split("\n")[3:]))
    except ValueError:
        return b""


def _is_text(keyword: str) -> bool:
    """True if a PNG's text chunk holds text; some hold other metadata, which are kept in attributes of their own."""
    return keyword not in ("XML:com.adobe.xmp", "exif") and not (
        keyword.startswith("Raw profile type") and keyword != iptc.PNG_KEYWORD
    )


def _comment(info: Mapping[Any, Any]) -> tuple[tuple[str, str], ...]:
    """Return the comment of a JPEG as a keyword and its text; () if there is no comment."""
    comment = _bytes(info.get("comment"))
    try:
        text = comment.decode()
    except UnicodeDecodeError:
        text = comment.decode("latin-1")
    return ((COMMENT, text),) if text else ()


def _dpi(value: object, *, turned: bool) -> tuple[float, float] | None:
    """Return a resolution, its sides exchanged if the picture was turned; None if it cannot be written."""
    match value:
        case (float() | int() as across, float() | int() as down):
            if all(math.isfinite(side) and 0.5 < side < 65_535 for side in (across, down)):
                return (float(down), float(across)) if turned else (float(across), float(down))
    return None
