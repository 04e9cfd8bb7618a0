"""Captions of picture libraries survive, and of Photoshop's other resources nothing that would lie afterwards."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL.IptcImagePlugin import getiptcinfo
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngInfo

from pipeline.config import OutputFormat
from pipeline.images import iptc
from pipeline.images.codec import decode, encode
from tests.pipeline.files import noise, opened, saved, tiff

CAPTION = "Glasplatte Nr. 7, Zürich".encode()
AUTHOR = b"Jane Doe"
HEADER = b"Photoshop 3.0\0"


def dataset(number: int, content: bytes) -> bytes:
    return b"\x1c\x02" + struct.pack(">BH", number, len(content)) + content


def resource(kind: int, content: bytes, *, name: bytes = b"") -> bytes:
    letters = bytes([len(name)]) + name
    padded = letters + bytes(len(letters) % 2)
    return (
        b"8BIM" + struct.pack(">H", kind) + padded + struct.pack(">I", len(content)) + content + bytes(len(content) % 2)
    )


RECORD = dataset(120, CAPTION) + dataset(80, AUTHOR)
RESOURCES = (
    resource(0x03ED, struct.pack(">IHHIHH", 72 << 16, 1, 1, 72 << 16, 1, 1))
    + resource(0x040C, b"the small old picture", name=b"thumbs")
    + resource(iptc.RECORD, RECORD)
    + resource(0x0425, b"a digest of it..")
)


def segments(block: bytes, *, size: int = 60_000) -> bytes:
    """A JPEG's segments of some resources, cut where a segment is full."""
    parts = [HEADER + block[at : at + size] for at in range(0, len(block), size)]
    return b"".join(b"\xff\xed" + struct.pack(">H", 2 + len(part)) + part for part in parts)


def jpeg(block: bytes, **options: object) -> bytes:
    return saved(noise(8, 16, 3), "JPEG", extra=segments(block), **options)


def restored(data: bytes, output_format: OutputFormat, *, scale: int = 1) -> bytes:
    picture = decode(data, max_pixels=10**6)
    pixels = picture.pixels.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    return encode(pixels, like=picture, output_format=output_format, quality=90, provenance="job:input")


def resources_of(data: bytes) -> bytes:
    """What stands in all segments of a JPEG, as Pillow finds them."""
    image = opened(data)
    assert isinstance(image, JpegImageFile)
    return b"".join(content.removeprefix(HEADER) for name, content in image.applist if name == "APP13")


def test_a_caption_survives_from_jpeg_to_jpeg_and_what_describes_the_old_pixels_does_not() -> None:
    turned = b"Exif\0\0" + tiff([(0x0112, 3, 1, b"\6\0\0\0")])
    data = jpeg(RESOURCES, exif=turned, comment=b"found in the attic", dpi=(300, 300))
    output = opened(restored(data, OutputFormat.JPEG, scale=2))
    assert output.size == (16, 32)
    assert getiptcinfo(output) == getiptcinfo(opened(data)) == {(2, 120): CAPTION, (2, 80): AUTHOR}
    assert output.info["photoshop"] == {iptc.RECORD: RECORD}
    assert (output.info["comment"], output.info["dpi"]) == (b"found in the attic", (300, 300))
    assert b"deqir:provenance" in output.info["xmp"]


def test_a_png_says_it_as_imagemagick_does_and_gives_it_back() -> None:
    as_png = restored(jpeg(RESOURCES), OutputFormat.PNG)
    empty, name, size, *lines = opened(as_png).text[iptc.PNG_KEYWORD].split("\n")
    block = bytes.fromhex("".join(lines))
    assert (empty, name, int(size)) == ("", "iptc", len(block))
    assert max(map(len, lines)) == 72
    assert block == resource(iptc.RECORD, RECORD)
    assert getiptcinfo(opened(restored(as_png, OutputFormat.JPEG))) == {(2, 120): CAPTION, (2, 80): AUTHOR}
    assert opened(restored(as_png, OutputFormat.PNG)).text[iptc.PNG_KEYWORD] == opened(as_png).text[iptc.PNG_KEYWORD]


def test_what_another_program_wrote_into_a_png_stays_as_it_is() -> None:
    info = PngInfo()
    written = f"\nIPTC profile\n{len(RESOURCES):8}\n{RESOURCES.hex()}\n"
    info.add_text(iptc.PNG_KEYWORD, written, zip=True)
    output = opened(restored(saved(noise(8, 16), pnginfo=info), OutputFormat.PNG))
    assert output.text[iptc.PNG_KEYWORD] == written
    assert getiptcinfo(opened(restored(saved(noise(8, 16), pnginfo=info), OutputFormat.JPEG))) == {
        (2, 120): CAPTION,
        (2, 80): AUTHOR,
    }


@pytest.mark.parametrize("odd", [0, 1])
def test_a_record_of_several_segments_is_read_and_written_whole(odd) -> None:
    record = b"".join(dataset(25, b"%06d" % number + bytes(10_000)) for number in range(20)) + dataset(80, bytes(odd))
    first = restored(jpeg(resource(0x0400, b"path") + resource(iptc.RECORD, record)), OutputFormat.JPEG)
    assert resources_of(first) == resource(iptc.RECORD, record)
    assert first.count(HEADER) == 4
    assert restored(first, OutputFormat.JPEG).count(record[:9000]) == 1


def test_a_record_beyond_all_measure_is_left_out_and_the_picture_restored() -> None:
    largest = bytes(iptc.LARGEST)
    assert resources_of(restored(jpeg(resource(iptc.RECORD, largest)), OutputFormat.JPEG)).count(largest) == 1
    assert resources_of(restored(jpeg(resource(iptc.RECORD, largest + b"\0")), OutputFormat.JPEG)) == b""
    assert opened(restored(jpeg(resource(iptc.RECORD, largest)), OutputFormat.PNG)).text[iptc.PNG_KEYWORD]


def test_a_picture_without_a_caption_gets_no_segment_for_one() -> None:
    for data in (saved(noise(8, 16, 3), "JPEG"), jpeg(resource(0x0425, b"digest")), jpeg(resource(iptc.RECORD, b""))):
        assert resources_of(restored(data, OutputFormat.JPEG)) == b""
        assert iptc.PNG_KEYWORD not in opened(restored(data, OutputFormat.PNG)).text


@pytest.mark.parametrize("cut", range(0, len(RESOURCES), 5))
def test_resources_that_end_too_early_are_no_reason_to_refuse_a_picture(cut) -> None:
    picture = decode(jpeg(RESOURCES[:cut] or b"8"), max_pixels=10**6)
    assert RECORD.startswith(picture.metadata.iptc or b"")
    assert restored(jpeg(RESOURCES[:cut] or b"8"), OutputFormat.JPEG)


@given(st.binary(max_size=60) | st.lists(st.binary(max_size=12)).map(lambda parts: b"8BIM".join((b"", *parts))))
@example(b"8BIM\x04\x04\xff" + bytes(20))
@example(b"8BIM\x04\x04\0\0\xff\xff\xff\xff")
def test_whatever_stands_there_is_read_in_one_walk(block) -> None:
    found = iptc.record_in(block)
    assert found is None or found in block
