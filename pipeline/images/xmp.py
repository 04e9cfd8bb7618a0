"""Correct an XMP packet in place, and write and read its provenance.

Packets are edited as text, so that unknown parts keep every byte. Every search takes time in proportion to the
packet's length, for any content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from typing import Final

RDF_END: Final = b"</rdf:RDF>"
PACKET_END: Final = b"<?xpacket end="
NAMESPACE: Final = "urn:deqir:1.0/"
EMPTY: Final = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF>'
    b'</x:xmpmeta>\n<?xpacket end="w"?>'
)


def _property(name: str) -> str:
    """Return the pattern of a simple property, as an attribute or as an element."""
    return rf"""\s{name}=(?:"[^"]*"|'[^']*')|<{name}>[^<]*</{name}>"""


_ORIENTATION: Final = re.compile(rb"""tiff:Orientation(?:=["']|>)([1-8])["'<]""")
_PROVENANCE: Final = re.compile(rb"""(?:\sdeqir:provenance=["']|<deqir:provenance>)([^"'<]*)["'<]""")
_STALE: Final = re.compile(
    "|".join(
        (
            r'<rdf:Description rdf:about="" xmlns:deqir="[^"]*" deqir:provenance="[^"]*"/>',
            *map(_property, ("deqir:provenance", "tiff:Orientation", "xmpNote:HasExtendedXMP")),
        )
    ).encode()
)
_WIDTH: Final = re.compile(rb"""((?:tiff:ImageWidth|exif:PixelXDimension)(?:=["']|>))[0-9]+""")
_HEIGHT: Final = re.compile(rb"""((?:tiff:ImageLength|exif:PixelYDimension)(?:=["']|>))[0-9]+""")


def orientation(packet: bytes) -> int | None:
    """Return the orientation of the pixels, 1 to 8; None if the packet does not give it."""
    found = _ORIENTATION.search(packet)
    return int(found[1]) if found else None


def upright(packet: bytes) -> bytes | None:
    """Return the packet for upright pixels: without orientation, thumbnails and an earlier provenance.

    None if the packet is not RDF in UTF-8, as nothing could be added to it.
    """
    if RDF_END not in packet:
        return None
    for name in (b"xmp:Thumbnails>", b"xap:Thumbnails>"):
        packet = b"".join(_outside(packet, b"<" + name, b"</" + name))
    packet = _STALE.sub(b"", packet)
    content, end, tail = packet.rpartition(PACKET_END)
    return content.rstrip() + b"\n" + end + tail if end else packet.rstrip()  # drops the padding for later edits


def with_provenance(packet: bytes | None, provenance: str, *, width: int, height: int) -> bytes:
    """Return the packet with this size of the pixels and this provenance; a new packet for None."""
    if packet is None:
        packet = EMPTY
    packet = _WIDTH.sub(rb"\g<1>%d" % width, packet)
    packet = _HEIGHT.sub(rb"\g<1>%d" % height, packet)
    before, end, after = packet.rpartition(RDF_END)
    ours = f'<rdf:Description rdf:about="" xmlns:deqir="{NAMESPACE}" deqir:provenance="{escape(provenance)}"/>'
    return b"".join((before, ours.encode(), end, after))


def provenance_in(packet: bytes) -> str | None:
    """Return the provenance written by `with_provenance`; None if the packet has none."""
    found = _PROVENANCE.findall(packet)
    return unescape(found[-1].decode(errors="replace")) if found else None


def _outside(text: bytes, opening: bytes, closing: bytes) -> Iterator[bytes]:
    """Yield the parts of a text outside of each opening and the next closing."""
    at = 0
    while (start := text.find(opening, at)) != -1 and (end := text.find(closing, start)) != -1:
        yield text[at:start]
        at = end + len(closing)
    yield text[at:]
