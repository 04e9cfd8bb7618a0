"""What comes from anybody is bounded, and whatever it holds is read or refused in one line."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.config import OutputFormat
from pipeline.errors import DecodeError, EmptyFileError, ImageError, ImageTooLargeError
from pipeline.images.codec import decode, encode, read_provenance
from tests.pipeline.files import RGB_PROFILE, TWO_FRAMES, chunk, noise, png, saved, tiff, xmp


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_size_is_bounded_by_the_header(kind) -> None:
    data = saved(noise(20, 30, 3), kind)
    assert decode(data, max_pixels=600).pixels.shape == (3, 20, 30)
    with pytest.raises(ImageTooLargeError, match="30 x 20 pixels, but `max_pixels` is 599"):
        decode(data, max_pixels=599)


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    vast = png([b"\0"], width=2**30, bits=8, colour_type=0)
    with pytest.raises(ImageTooLargeError):
        decode(vast, max_pixels=10**8)
    canvas = bytearray(saved(np.stack([noise(4, 4)] * 4, -1), "WEBP", exif=b"Exif\0\0II*\0"))
    assert canvas[12:16] == b"VP8X"
    canvas[24:30] = b"\xff" * 6
    with pytest.raises(ImageTooLargeError, match="16777216 x 16777216"):
        decode(bytes(canvas), max_pixels=10**8)


def test_a_job_may_allow_more_pixels_than_pillow_does(monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decode(saved(noise(20, 30, 3)), max_pixels=600).pixels.shape == (3, 20, 30)


def test_zero_bytes_are_an_empty_file() -> None:
    with pytest.raises(EmptyFileError):
        decode(b"", max_pixels=600)


@pytest.mark.parametrize("data", [b"\x89PNG", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"GIF89a" * 9, b"\n\0"])
def test_what_is_no_image_is_said_in_one_line(data) -> None:
    with pytest.raises(DecodeError) as failure:
        decode(data, max_pixels=600)
    assert "\n" not in str(failure.value)
    assert " at 0x" not in str(failure.value)


def corpus() -> list[bytes]:
    exif = b"Exif\0\0" + tiff([(0x0112, 3, 1, b"\6\0\0\0")], [(0x0201, 4, 1, b"\x3c\0\0\0")], tail=b"\xff\xd8x")
    known = {"exif": exif, "icc_profile": RGB_PROFILE}
    grey, colour = noise(9, 11), noise(9, 11, 3)
    return [
        saved(colour, "JPEG", xmp=xmp(padding=9), comment=b"c", dpi=(72, 72), **known),
        saved(grey, "JPEG", progressive=True),
        saved(colour, dpi=(72, 72), **known),
        saved(Image.fromarray(colour).quantize(8), transparency=3),
        png([b"\x1b"] * 4, width=4, bits=2, colour_type=0, before=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0x")),
        saved(grey, **TWO_FRAMES | {"append_images": [Image.fromarray(grey[::-1])]}),
        saved(colour, "WEBP", xmp=xmp(padding=9), **known),
        saved(np.dstack([colour, grey]), "WEBP", lossless=True),
    ]


FILES = corpus()


@settings(max_examples=600, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_mutant_of_a_file_is_read_or_refused_and_nothing_else(seed) -> None:
    chance = random.Random(seed)
    data = bytearray(chance.choice(FILES))
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.choice((1, 4, len(data)))]
            case 2:
                data[at:at] = chance.randbytes(chance.choice((1, 4, 60)))
            case 3:
                data[at : at + 4] = chance.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
        if not data:
            break
    mutant = bytes(data)
    provenance = read_provenance(mutant)
    assert provenance is None or isinstance(provenance, str)
    try:
        picture = decode(mutant, max_pixels=10**5)
    except ImageError:
        pass
    else:
        assert torch.isfinite(picture.pixels).all()
        for output_format in OutputFormat:
            written = encode(
                picture.pixels, like=picture, output_format=output_format, quality=95, provenance="job:input"
            )
            assert read_provenance(written) == "job:input"
