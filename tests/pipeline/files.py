"""Image files written by Pillow or byte by byte, for the tests of what reads them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms

RGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = RGB_PROFILE[:16] + b"GRAY" + RGB_PROFILE[20:]
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}" tiff:ImageWidth="7">'
    "<dc:source>Glasplatte Nr. 7, Zürich</dc:source></rdf:Description>"
    '</rdf:RDF></x:xmpmeta>\n{padding}\n<?xpacket end="w"?>'
)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """The file that Pillow makes of an image or of an array of 8-bit values."""
    buffer = io.BytesIO()
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    """What Pillow finds in a file, loaded."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    rows: list[bytes], *, width: int, bits: int, colour_type: int, before: bytes = b"", after: bytes = b""
) -> bytes:
    """A PNG file of raw rows, with whole chunks before and after its pixels."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), before, chunk(b"IDAT", pixels), after, chunk(b"IEND", b""))
    )


def tiff(
    first: list[tuple[int, int, int, bytes]],
    second: list[tuple[int, int, int, bytes]] | None = None,
    *,
    order: str = "<",
    tail: bytes = b"",
) -> bytes:
    """A TIFF header with one or two directories of (tag, type, count, four bytes), and what follows them."""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    blocks = [first] if second is None else [first, second]
    data, at = magic + struct.pack(f"{order}I", 8), 8
    for number, entries in enumerate(blocks):
        at += 2 + 12 * len(entries) + 4
        data += struct.pack(f"{order}H", len(entries))
        data += b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries)
        data += struct.pack(f"{order}I", at if number + 1 < len(blocks) else 0)
    return data + tail


def xmp(orientation: int = 1, padding: int = 2000) -> bytes:
    return XMP.format(orientation=orientation, padding=" " * padding).encode()


TWO_FRAMES = {"save_all": True, "append_images": [Image.fromarray(noise(4, 4, 3, seed=1))]}
