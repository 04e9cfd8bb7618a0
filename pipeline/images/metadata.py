"""What a file says about its picture and what of that stays true of the restored one."""

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
    """What is known of a picture whose pixels are upright. None and () stand for nothing.

    Attributes:
        icc: ICC profile.
        exif: EXIF block without orientation and thumbnail, from its TIFF header on.
        xmp: XMP packet without orientation, thumbnails and the provenance of an earlier job.
        iptc: IPTC record: caption, author, place and the like.
        dpi: Pixels to an inch, across and down, as the file has it.
        texts: Keywords and texts: a JPEG's comment as "Comment", all of a PNG's.
        colour: Name and content of the chunks with which a PNG says what its numbers mean.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    texts: tuple[tuple[str, str], ...] = ()
    colour: tuple[tuple[bytes, bytes], ...] = ()

    def icc_for(self, mode: str) -> bytes | None:
        """Return the profile if it is one for images of this mode, "L" or "RGB"."""
        return self.icc if self.icc is not None and self.icc[16:20] == ICC_SPACE[mode] else None

    @property
    def only_png_can_say_it(self) -> bool:
        """Whether the numbers mean something else than in sRGB, and no ICC profile says so."""
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
    """Return a file's metadata, and how its pixels have to be turned for them to be true: EXIF's 1 to 8.

    Args:
        info: What Pillow found; in a PNG any text chunk can pass itself off as any entry.
        block: The EXIF block where it is not in `info`.
        resources: A JPEG's resources of Photoshop.
        texts: Texts by keyword.
        colour: A PNG's colour chunks.
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
    if block := _bytes(info.get("exif")):
        return block.removeprefix(EXIF_HEADER)
    return _raw_profile(info.get("Raw profile type exif")).removeprefix(EXIF_HEADER)


def _raw_profile(text: object) -> bytes:
    """Return what stands in a PNG's text in hexadecimal, below its name and its size; empty if there is none."""
    try:
        return bytes.fromhex("".join(str(text or "").split("\n")[3:]))
    except ValueError:
        return b""


def _is_text(keyword: str) -> bool:
    """Return whether a PNG's text is one; some are other metadata that have a place of their own."""
    return keyword not in ("XML:com.adobe.xmp", "exif") and not (
        keyword.startswith("Raw profile type") and keyword != iptc.PNG_KEYWORD
    )


def _comment(info: Mapping[Any, Any]) -> tuple[tuple[str, str], ...]:
    """Return a JPEG's comment, if it has one."""
    comment = _bytes(info.get("comment"))
    try:
        text = comment.decode()
    except UnicodeDecodeError:
        text = comment.decode("latin-1")
    return ((COMMENT, text),) if text else ()


def _dpi(value: object, *, turned: bool) -> tuple[float, float] | None:
    """Return a resolution that can be written, its sides exchanged where the picture's are."""
    match value:
        case (float() | int() as across, float() | int() as down):
            if all(math.isfinite(side) and 0.5 < side < 65_535 for side in (across, down)):
                return (float(down), float(across)) if turned else (float(across), float(down))
    return None
