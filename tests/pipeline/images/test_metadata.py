"""What a file says about its picture survives, unless it would no longer be true."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.ExifTags import IFD
from PIL.PngImagePlugin import PngInfo

from pipeline.config import OutputFormat
from pipeline.errors import UnsupportedImageError
from pipeline.images import exif, xmp
from pipeline.images.codec import Picture, decode, encode, read_provenance
from tests.pipeline import files
from tests.pipeline.files import GREY_PROFILE, RGB_PROFILE, chunk, noise, opened, png, saved, tiff

FORMATS = list(OutputFormat)
PNG, JPEG, WEBP = FORMATS
ARTIST = "Zoë Müller".encode()
NOTE = b"MAKER'S OWN NOTE"
THUMBNAIL = b"\xff\xd8the small old picture\xff\xd9"


def camera_block(order: str) -> bytes:
    """An EXIF block as cameras write it, with a maker's note, a name in UTF-8 and a thumbnail at its end."""

    def number(value: int) -> bytes:
        return struct.pack(f"{order}I", value)

    def short(value: int) -> bytes:
        return struct.pack(f"{order}HH", value, 0)

    name_at = 8 + (2 + 5 * 12 + 4) + (2 + 2 * 12 + 4)
    inner_at = name_at + len(ARTIST)
    note_at = inner_at + 2 + 3 * 12 + 4
    resolution_at = note_at + len(NOTE)
    inner = struct.pack(f"{order}H", 3)
    for tag, kind, count, value in (
        (0x927C, 7, len(NOTE), number(note_at)),
        (0xA002, 3, 1, short(7)),
        (0xA003, 4, 1, number(9)),
    ):
        inner += struct.pack(f"{order}HHI", tag, kind, count) + value
    return tiff(
        [
            (0x0112, 3, 1, short(6)),
            (0x011A, 5, 1, number(resolution_at)),
            (0x011B, 5, 1, number(resolution_at + 8)),
            (0x013B, 2, len(ARTIST), number(name_at)),
            (0x8769, 4, 1, number(inner_at)),
        ],
        [(0x0201, 4, 1, number(resolution_at + 16)), (0x0202, 4, 1, number(len(THUMBNAIL)))],
        order=order,
        tail=ARTIST + inner + number(0) + NOTE + struct.pack(f"{order}4I", 600, 2, 300, 1) + THUMBNAIL,
    )


def read(data: bytes) -> Picture:
    return decode(data, max_pixels=10**6)


def restored(data: bytes, output_format: OutputFormat, *, scale: int = 1, colour: bool = False) -> bytes:
    """What becomes of a file whose picture is enlarged, or coloured."""
    picture = read(data)
    pixels = picture.pixels.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    return encode(
        pixels.expand(3, -1, -1) if colour else pixels,
        like=picture,
        output_format=output_format,
        quality=90,
        provenance="job:input",
    )


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("order", "<>")
def test_exif_keeps_every_byte_but_what_the_old_pixels_were_like(kind, output_format, order) -> None:
    block = camera_block(order)
    data = saved(noise(8, 16, 3), kind, exif=b"Exif\0\0" + block)
    assert opened(data).getexif()[0x0112] == 6
    output = opened(restored(data, output_format, scale=2))
    found = output.info["exif"].removeprefix(b"Exif\0\0")
    known = output.getexif()
    inner = known.get_ifd(0x8769)
    assert known[0x0112] == 1
    assert (inner[0xA002], inner[0xA003]) == output.size == (16, 32)
    assert inner[0x927C] == NOTE
    assert not known.get_ifd(IFD.IFD1)
    assert found.count(ARTIST) == 1
    assert b"small old picture" not in found
    assert len(found) == len(block) - len(THUMBNAIL)
    changed = [at for at, (a, b) in enumerate(zip(block, found, strict=False)) if a != b]
    assert len(changed) <= 6  # orientation, two sizes, and the way to the thumbnail


@settings(deadline=None)
@given(block=st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: tiff([], tail=tail)))
def test_a_block_that_is_broken_is_left_as_it_is(block) -> None:
    assert exif.orientation(block) in (None, *range(1, 9))
    assert len(exif.resized(exif.upright(block), width=5, height=5)) <= len(block)
    exif.dpi(block)
    exif.pictures(block)


@pytest.mark.parametrize("cut", range(0, 230, 3))
def test_a_block_that_ends_too_early_is_no_reason_to_refuse_a_picture(cut) -> None:
    block = camera_block("<")[:cut]
    assert restored(saved(noise(8, 16, 3), "JPEG", exif=b"Exif\0\0" + block), JPEG)


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_rgb_profile_survives(kind, output_format) -> None:
    data = saved(noise(8, 16, 3), kind, icc_profile=RGB_PROFILE)
    assert opened(restored(data, output_format)).info["icc_profile"] == RGB_PROFILE


def test_a_grey_profile_survives_on_grey_and_is_left_out_of_colour() -> None:
    data = saved(noise(8, 16), icc_profile=GREY_PROFILE)
    assert opened(restored(data, PNG)).info["icc_profile"] == GREY_PROFILE
    assert opened(restored(data, JPEG)).info["icc_profile"] == GREY_PROFILE
    assert "icc_profile" not in opened(restored(data, PNG, colour=True)).info
    assert "icc_profile" not in opened(restored(data, WEBP)).info  # which stores it as RGB
    wrong = saved(noise(8, 16), icc_profile=RGB_PROFILE)
    assert "icc_profile" not in opened(restored(wrong, PNG, colour=True)).info


def test_resolution_survives_and_turns_with_the_picture() -> None:
    for data in (saved(noise(8, 16, 3), dpi=(300, 600)), saved(noise(8, 16, 3), "JPEG", dpi=(300, 600))):
        assert opened(restored(data, PNG)).info["dpi"] == pytest.approx((300, 600), abs=0.02)
        assert opened(restored(data, JPEG)).info["dpi"] == pytest.approx((300, 600))
    turned = saved(noise(8, 16, 3), "JPEG", exif=b"Exif\0\0" + camera_block(">"))  # says so in EXIF alone
    assert opened(restored(turned, PNG)).info["dpi"] == pytest.approx((300, 300), abs=0.02)
    turned = saved(noise(8, 16, 3), "JPEG", exif=b"Exif\0\0" + camera_block(">"), dpi=(300, 600))
    assert opened(restored(turned, PNG)).info["dpi"] == pytest.approx((600, 300), abs=0.02)


def test_no_resolution_is_made_up() -> None:
    bare = b"Exif\0\0" + tiff([(0x0112, 3, 1, b"\1\0\0\0")])
    assert "dpi" not in opened(restored(saved(noise(8, 16, 3), "JPEG", exif=bare), PNG)).info


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_xmp_survives_without_the_orientation_that_was_applied(kind, output_format) -> None:
    if kind == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", files.xmp(6).decode(), zip=True)
        data = saved(noise(8, 16, 3), pnginfo=info)
    else:
        data = saved(noise(8, 16, 3), kind, xmp=files.xmp(6))
    output = opened(restored(data, output_format, scale=3))
    found = output.info["xmp"].decode()
    assert "<dc:source>Glasplatte Nr. 7, Zürich</dc:source>" in found
    assert "Orientation" not in found
    assert f'tiff:ImageWidth="{output.width}"' in found
    assert output.size == (24, 48)


def test_a_packet_as_large_as_a_jpeg_can_hold_still_has_room_for_the_provenance() -> None:
    packet = files.xmp(padding=65_000)
    data = saved(noise(8, 16, 3), "JPEG", xmp=packet)
    assert len(packet) > 65_400
    output = restored(data, JPEG)
    assert read_provenance(output) == "job:input"
    assert b"Glasplatte" in opened(output).info["xmp"]


@pytest.mark.parametrize("output_format", FORMATS)
def test_provenance_is_read_back_and_replaces_that_of_an_earlier_job(output_format) -> None:
    data = saved(noise(8, 16, 3))
    picture = read(data)
    for provenance in ("first:0a", "second:0b", """odd <"&'> signs"""):
        data = encode(picture.pixels, like=picture, output_format=output_format, quality=90, provenance=provenance)
        assert read_provenance(data) == provenance
        assert opened(data).info["xmp"].count(b"deqir:provenance") == 1
        picture = read(data)


def test_other_programs_may_write_the_packet_anew() -> None:
    ours = xmp.with_provenance(None, "job:input", width=1, height=1)
    value = b'deqir:provenance="job:input"'
    for form in (b"deqir:provenance='job:input'", b"><deqir:provenance>job:input</deqir:provenance><x"):
        packet = ours.replace(value, form)
        assert xmp.provenance_in(packet) == "job:input"
        assert b"job:input" not in (xmp.upright(packet) or b"")


@settings(deadline=None)
@given(
    data=st.binary(max_size=300), start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF9999WEBP"])
)
def test_bytes_that_are_not_ours_have_no_provenance(data, start) -> None:
    assert read_provenance(start + data) is None


@pytest.mark.parametrize("data", [b"\xff\xd8\xff" + b"\xff\0" * 10**6, b"\x89PNG\r\n\x1a\n" + bytes(10**7)])
def test_looking_for_a_provenance_takes_no_time_whoever_made_the_file(data) -> None:
    assert read_provenance(data) is None


def test_texts_survive_as_far_as_the_format_has_room_for_them() -> None:
    info = PngInfo()
    info.add_text("Author", "Zoë")
    info.add_itxt("Title", "Дом")
    info.add_text("Comment", "found in the attic")
    info.add_text("dpi", "an entry's name")
    texts = {"Author": "Zoë", "Title": "Дом", "Comment": "found in the attic", "dpi": "an entry's name"}
    data = saved(noise(8, 16), pnginfo=info)
    found = dict(opened(restored(data, PNG)).text)
    del found["XML:com.adobe.xmp"]
    assert found == texts
    commented = restored(data, JPEG)
    assert opened(commented).info["comment"] == b"found in the attic"
    assert opened(restored(commented, JPEG)).info["comment"] == b"found in the attic"
    assert opened(restored(commented, PNG)).text["Comment"] == "found in the attic"


def test_a_gamma_of_its_own_survives_in_png_and_is_not_lost_in_others() -> None:
    linear = png([b"\x40\x80"], width=2, bits=8, colour_type=0, before=chunk(b"gAMA", struct.pack(">I", 100_000)))
    assert opened(restored(linear, PNG)).info["gamma"] == 1.0
    with pytest.raises(UnsupportedImageError, match="gamma"):
        restored(linear, JPEG)
    usual = png([b"\x40\x80"], width=2, bits=8, colour_type=0, before=chunk(b"gAMA", struct.pack(">I", 45_455)))
    assert opened(restored(usual, JPEG)).mode == "L"


def test_a_text_that_passes_itself_off_as_something_else_does_no_harm() -> None:
    info = PngInfo()
    for name in ("icc_profile", "exif", "xmp", "gamma", "Raw profile type exif"):
        info.add_text(name, "nonsense")
    picture = read(saved(noise(8, 16), pnginfo=info))
    assert picture.metadata.icc is None
    assert picture.metadata.xmp is None
    assert restored(saved(noise(8, 16), pnginfo=info), JPEG)


def test_exif_that_old_programs_wrote_as_text_counts() -> None:
    block = b"Exif\0\0" + tiff([(0x0112, 3, 1, b"\6\0\0\0")])
    info = PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    data = saved(noise(8, 16), pnginfo=info)
    picture = read(data)
    assert picture.pixels.shape == (1, 16, 8)
    assert read(restored(data, PNG)).pixels.shape == (1, 16, 8)


def test_what_a_format_has_no_room_for_is_refused_and_not_dropped() -> None:
    block = b"Exif\0\0" + tiff([], tail=bytes(70_000))
    data = saved(noise(8, 16), exif=block)
    assert opened(restored(data, PNG)).info["exif"]
    with pytest.raises(UnsupportedImageError, match="choose `output_format` png"):
        restored(data, JPEG)
    wide = Picture(pixels=read(data).pixels, mode="L", bit_depth=8, metadata=read(data).metadata)
    with pytest.raises(UnsupportedImageError, match="at most 16383 pixels, the restored image is 16384 x 1"):
        encode(
            read(saved(np.zeros((1, 16_384), np.uint8))).pixels,
            like=wide,
            output_format=WEBP,
            quality=90,
            provenance="",
        )
