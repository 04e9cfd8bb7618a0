"""Pixels come in and go out exactly, upright once, and what would lose something is refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from torch import Tensor

from pipeline.config import OutputFormat
from pipeline.errors import DecodeError, ImageTooLargeError, UnsupportedImageError
from pipeline.images.codec import Picture, decode, decode_mask, encode
from tests.pipeline.files import TWO_FRAMES, chunk, noise, opened, png, saved, tiff, xmp

FORMATS = list(OutputFormat)


def read(data: bytes) -> Picture:
    return decode(data, max_pixels=10**6)


def write(image: Tensor, like: Picture, output_format: OutputFormat = OutputFormat.PNG, quality: int = 95) -> bytes:
    return encode(image, like=like, output_format=output_format, quality=quality, provenance="job:input")


def values(picture: Picture) -> np.ndarray:
    """A picture's 8-bit values, channels last; grey has none."""
    found = ((picture.pixels.double() + 1) * 127.5).numpy()
    assert np.abs(found - found.round()).max() < 1e-4
    return found.round().astype(np.uint8).transpose(1, 2, 0).squeeze(2 if len(found) == 1 else ())


small = st.tuples(st.integers(1, 9), st.integers(1, 9))


@settings(deadline=None)
@given(pixels=small.flatmap(lambda size: arrays(np.uint8, (*size, 3)) | arrays(np.uint8, size)))
def test_pixels_survive_reading_and_writing_unchanged(pixels) -> None:
    for data in (saved(pixels), saved(pixels, "WEBP", lossless=True)):
        picture = read(data)
        assert picture.pixels.dtype == torch.float32
        assert picture.pixels.min() >= -1
        assert picture.pixels.max() <= 1
        again = values(read(write(picture.pixels, picture)))
        expected = pixels if data[:4] == b"\x89PNG" or pixels.ndim == 3 else np.stack([pixels] * 3, -1)
        assert np.array_equal(again, expected)


def test_values_are_spread_evenly_over_minus_one_to_one() -> None:
    picture = read(saved(np.array([[0, 51, 102, 255]], np.uint8)))
    assert picture.pixels.flatten().tolist() == pytest.approx([-1, -0.6, -0.2, 1])


def test_what_lies_outside_the_range_is_clipped_and_the_rest_rounded_to_the_nearest_value() -> None:
    like = read(saved(noise(1, 4)))
    image = torch.tensor([[[-7.0, 1.5, 0.0034, -0.0046]]])  # 127.93 and 126.91 on the scale of 0 to 255
    assert values(read(write(image, like))).tolist() == [[0, 255, 128, 127]]


@pytest.mark.parametrize("shape", [(12, 20), (12, 20, 3)], ids=["grey", "RGB"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_file_is_read_as_pillow_reads_it(kind, shape) -> None:
    data = saved(noise(*shape), kind)
    expected = opened(data)
    picture = read(data)
    assert np.array_equal(values(picture), np.asarray(expected))
    assert (picture.mode, picture.bit_depth) == (expected.mode, 8)


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_is_written_alike_each_time_and_close_to_the_image(output_format, channels) -> None:
    y, x = np.mgrid[0:24, 0:40] / 12
    smooth = np.stack([np.sin(x + c) * np.cos(y * c) for c in range(channels)])
    image, like = torch.from_numpy(smooth).float() * 0.8, read(saved(noise(3, 3, 3)))
    data = write(image, like, output_format)
    assert write(image, like, output_format) == data
    assert opened(data).format == output_format.name
    grey_file = channels == 1 and output_format is not OutputFormat.WEBP
    assert opened(data).mode == ("L" if grey_file else "RGB")
    assert (read(data).pixels - image).abs().mean() < 0.03
    assert len(write(image, like, output_format, quality=20)) <= len(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_exif_orientation_is_applied_exactly_once(kind, orientation) -> None:
    # what EXIF says of the file's rows and columns, written down as operations on arrays
    turned = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a.swapaxes(0, 1), 2),
        8: lambda a: np.rot90(a),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(noise(8, 16, 3), kind, exif=exif, **options)
    picture = read(data)
    assert np.array_equal(values(picture), turned(np.asarray(opened(data))))
    for output_format in FORMATS:
        output = opened(write(picture.pixels, picture, output_format))
        assert output.getexif().get(0x0112, 1) == 1
        assert output.size == (picture.pixels.shape[2], picture.pixels.shape[1])


def test_an_orientation_that_only_xmp_states_counts_as_well() -> None:
    data = saved(noise(8, 16, 3), "JPEG", xmp=xmp(orientation=6))
    picture = read(data)
    assert np.array_equal(values(picture), np.rot90(np.asarray(opened(data)), -1))
    again = read(write(picture.pixels, picture))
    assert np.array_equal(values(again), values(picture))


@pytest.mark.parametrize(
    ("bits", "row", "expected"),
    [(1, b"\xa0", [255, 0, 255, 0]), (2, b"\x1b", [0, 85, 170, 255]), (4, b"\x0f\x5a", [0, 255, 85, 170])],
)
def test_grey_of_few_bits_is_spread_over_eight(bits, row, expected) -> None:
    picture = read(png([row], width=4, bits=bits, colour_type=0))
    assert (picture.mode, picture.bit_depth) == ("L", bits)
    assert values(picture).tolist() == [expected]


@pytest.mark.parametrize(
    ("palette", "mode"), [(b"\x0a\x0a\x0a\xc8\xc8\xc8", "L"), (b"\x0a\x0a\x0a\xc8\x64\x32", "RGB")]
)
def test_a_palette_without_transparency_becomes_its_colours(palette, mode) -> None:
    picture = read(png([b"\0\1"], width=2, bits=8, colour_type=3, before=chunk(b"PLTE", palette)))
    assert (picture.mode, picture.bit_depth) == (mode, 8)
    colours = np.frombuffer(palette, np.uint8).reshape(1, 2, 3)
    assert np.array_equal(values(picture), colours if mode == "RGB" else colours[..., 0])


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_alpha_channel_that_hides_nothing_is_dropped(kind) -> None:
    pixels = noise(4, 5, 4)
    pixels[..., 3] = 255
    assert np.array_equal(values(read(saved(pixels, kind, lossless=True))), pixels[..., :3])


PALETTE = chunk(b"PLTE", b"\0\0\0\xff\xff\xff")
STEREO = tiff([(0xB001, 4, 1, b"\2\0\0\0"), (0xB002, 7, 32, struct.pack("<I", 38))]) + struct.pack(
    "<IIIHHIIIHH", 0x030000, 0, 0, 0, 0, 0x020002, 0, 0, 0, 0
)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (png([b"\0" * 6], width=1, bits=16, colour_type=2), "16 bits"),
        (png([b"\0" * 2], width=1, bits=16, colour_type=0), "16 bits"),
        (png([b"\0" * 8], width=1, bits=16, colour_type=6), "16 bits"),
        (png([b"\0" * 4], width=1, bits=16, colour_type=4), "16 bits"),
        (saved(np.stack([noise(4, 5)] * 4, -1)), "transparent"),
        (saved(np.stack([noise(4, 5)] * 4, -1), "WEBP"), "transparent"),
        (saved(np.stack([noise(4, 5)] * 2, -1)), "transparent"),
        (png([b"\0\1"], width=2, bits=8, colour_type=3, before=PALETTE + chunk(b"tRNS", b"\x80")), "transpar"),
        (png([b"\0\1"], width=2, bits=8, colour_type=0, before=chunk(b"tRNS", b"\0\1")), "transparent"),
        (png([b"\x1b"], width=4, bits=2, colour_type=0, before=chunk(b"tRNS", b"\0\1")), "transparent"),
        (saved(noise(4, 4, 3), **TWO_FRAMES), "animation of 2 frames"),
        (saved(noise(4, 4, 3), "WEBP", **TWO_FRAMES), "animation of 2 frames"),
        (saved(Image.new("CMYK", (8, 8)), "JPEG"), "CMYK"),
        (saved(noise(8, 8, 3), "JPEG", extra=b"\xff\xe2\0\x4cMPF\0" + STEREO), "further pictures"),
    ],
)
def test_what_would_lose_something_is_refused_with_its_kind_and_a_way_out(data, text) -> None:
    with pytest.raises(UnsupportedImageError, match=text) as refusal:
        read(data)
    assert "first" in str(refusal.value)
    assert opened(data)  # a good file, that is


def test_a_transparent_colour_that_no_pixel_has_is_no_transparency() -> None:
    data = png([b"\0\1"], width=2, bits=8, colour_type=0, before=chunk(b"tRNS", b"\0\7"))
    assert values(read(data)).tolist() == [[0, 1]]


def test_a_camera_file_with_a_large_preview_is_a_plain_image() -> None:
    preview = STEREO.replace(struct.pack("<I", 0x020002), struct.pack("<I", 0x010001))
    assert preview != STEREO
    assert read(saved(noise(8, 8, 3), "JPEG", extra=b"\xff\xe2\0\x4cMPF\0" + preview)).mode == "RGB"


def test_a_mask_marks_what_is_nearer_to_white_whatever_its_format() -> None:
    mask = np.zeros((16, 24), np.uint8)
    mask[3:9, 5:20] = 255
    for data in (
        saved(mask),
        saved(Image.fromarray(mask).convert("1")),
        saved(np.stack([mask] * 3, -1), "JPEG"),
        saved(np.stack([mask] * 3, -1), "WEBP"),
    ):
        found = decode_mask(data, max_pixels=16 * 24)
        assert found.dtype == torch.bool
        assert np.array_equal(found.numpy(), mask > 0)
    with pytest.raises(DecodeError):
        decode_mask(b"no mask", max_pixels=16 * 24)
    with pytest.raises(ImageTooLargeError, match="24 x 16 pixels"):
        decode_mask(saved(mask), max_pixels=16 * 24 - 1)
