"""What docs/manifest.md says is kept of a file is kept, and what it says is not kept is not."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.config import OutputFormat
from pipeline.errors import UnsupportedImageError
from pipeline.images.codec import decode, encode
from tests.pipeline import files
from tests.pipeline.files import GREY_PROFILE, RGB_PROFILE, chunk, noise, opened, png, saved, tiff
from tests.pipeline.images.test_iptc import CAPTION, RESOURCES, jpeg

DOCUMENT = Path(__file__).parents[3] / "docs" / "manifest.md"
ARTIST = tiff([(0x013B, 2, 4, b"Zoe\0")])


def restored(data: bytes, output_format: OutputFormat) -> Image.Image:
    picture = decode(data, max_pixels=10**6)
    return opened(encode(picture.pixels, like=picture, output_format=output_format, quality=90, provenance="job:input"))


def texts(**texts: str) -> bytes:
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    return saved(noise(8, 16, 3), pnginfo=info)


def rgb(**options: object) -> bytes:
    return saved(noise(8, 16, 3), "JPEG", **options)


Kept = Callable[[Image.Image], bool]
CHECKS: dict[str, tuple[bytes, Kept]] = {
    "EXIF, makers' notes included": (
        rgb(exif=b"Exif\0\0" + ARTIST),
        lambda image: image.getexif().get(0x013B) == "Zoe",
    ),
    "XMP, if it is RDF in UTF-8": (
        rgb(xmp=files.xmp()),
        lambda image: "Glasplatte Nr. 7, Zürich".encode() in image.info["xmp"],
    ),
    "ICC profile of RGB": (rgb(icc_profile=RGB_PROFILE), lambda image: image.info.get("icc_profile") == RGB_PROFILE),
    "ICC profile of grey": (
        saved(noise(8, 16), icc_profile=GREY_PROFILE),
        lambda image: image.info.get("icc_profile") == GREY_PROFILE,
    ),
    "IPTC: caption, author, place, ...": (
        jpeg(RESOURCES),
        lambda image: (
            CAPTION.hex() in "".join(str(image.info.get("Raw profile type iptc")).split("\n"))
            or CAPTION in image.info.get("photoshop", {}).get(0x0404, b"")
        ),
    ),
    "resolution (DPI) beside EXIF": (
        rgb(dpi=(300, 300)),
        lambda image: np.allclose(image.info.get("dpi", 0), 300, atol=0.02),
    ),
    "comment of a JPEG, text `Comment` of a PNG": (
        rgb(comment=b"found in the attic"),
        lambda image: (
            image.info.get("Comment", image.info.get("comment")) in ("found in the attic", b"found in the attic")
        ),
    ),
    "other texts of a PNG": (texts(Author="Zoe"), lambda image: image.info.get("Author") == "Zoe"),
    "colour chunks of a PNG (`gAMA`, `cHRM`, `sRGB`, `cICP`)": (
        png([b"\x40\x80"], width=2, bits=8, colour_type=0, before=chunk(b"gAMA", struct.pack(">I", 45_455))),
        lambda image: image.info.get("gamma") == pytest.approx(0.45455),
    ),
}


def table() -> dict[str, list[str]]:
    """The document's table, cells by what each row is about."""
    (section,) = re.findall(r"## Which metadata is kept\n(.*?)\n## ", DOCUMENT.read_text(), re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    assert rows[0][1:] == ["PNG", "JPEG", "WebP"]
    return {name: cells for name, *cells in rows[2:]}


def test_the_table_has_a_row_for_everything_that_is_checked_and_no_other() -> None:
    assert table().keys() == CHECKS.keys()


@pytest.mark.parametrize("output_format", list(OutputFormat))
@pytest.mark.parametrize("name", CHECKS)
def test_the_table_is_true(name, output_format) -> None:
    told = table()[name][list(OutputFormat).index(output_format)]
    data, kept = CHECKS[name]
    assert kept(restored(data, output_format)) == {"yes": True, "no": False}[told.split(",")[0]]


def test_a_comment_goes_from_png_to_jpeg() -> None:
    assert restored(texts(Comment="found in the attic"), OutputFormat.JPEG).info["comment"] == b"found in the attic"


def test_what_would_be_wrong_or_is_too_large_is_refused_as_the_document_says() -> None:
    large = saved(noise(8, 16, 3), exif=b"Exif\0\0" + tiff([], tail=bytes(70_000)))
    linear = png([b"\x40\x80"], width=2, bits=8, colour_type=0, before=chunk(b"gAMA", struct.pack(">I", 100_000)))
    for data in (large, linear):
        assert restored(data, OutputFormat.PNG)
        with pytest.raises(UnsupportedImageError, match="`output_format` png"):
            restored(data, OutputFormat.JPEG)
