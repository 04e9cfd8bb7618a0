"""Bytes to pixels and back, with what must survive beside them. The one file that knows Pillow.

Read and written: JPEG, PNG and WebP of 8 bits, grey or RGB, upright whatever EXIF says. What a file says of
its picture goes into the output: ICC profile, EXIF, XMP, and where the output's format has a place for them
(WebP has none) IPTC, resolution and texts. Not carried over: extended XMP of more than 64 KB, XMP that is not
RDF in UTF-8, and what describes the old pixels: thumbnails, orientation, sizes. docs/manifest.md has the table.

An output says by which job and from which input it was made in one XMP property, `deqir:provenance`, in all
three formats: programs that keep metadata keep it, also from format to format.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
import torch
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile
from torch import Tensor

from pipeline.config import OutputFormat
from pipeline.errors import DecodeError, EmptyFileError, ImageError, ImageTooLargeError, UnsupportedImageError

from . import containers, exif, iptc, xmp
from .metadata import COMMENT, PNG_COLOUR, Metadata, metadata_of

# Not through Image.open: its bound on pixels is a warning, and one for the whole process; ours is the job's.
READERS: Final[dict[containers.Format, Callable[[IO[bytes]], ImageFile]]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}
TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LARGEST_SIDE: Final = {OutputFormat.JPEG: 65_500, OutputFormat.WEBP: 16_383, OutputFormat.PNG: 2**31 - 1}
PREVIEWS: Final = frozenset((0x010001, 0x010002))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """An image file's pixels, upright, and what it says about them.

    Attributes:
        pixels: float32, shape (c, h, w), in [-1, 1]; c is 1 for grey and 3 for RGB.
        mode: "L" for grey or "RGB".
        bit_depth: Bits a channel in the file.
        metadata: What its restoration is to say, too.
    """

    pixels: Tensor
    mode: str
    bit_depth: int
    metadata: Metadata


def decode(data: bytes, *, max_pixels: int) -> Picture:
    """Return the picture in a JPEG, PNG or WebP file, whatever its name.

    Raises:
        EmptyFileError: Zero bytes.
        DecodeError: None of these formats, or damaged.
        UnsupportedImageError: Something would be lost: 16 bits, transparency, CMYK, further pictures.
        ImageTooLargeError: More than `max_pixels` by its header; no pixel was decoded.
    """
    if not data:
        raise EmptyFileError("the file holds zero bytes; look for another copy of it")
    form = containers.format_of(data)
    if form is None:
        raise DecodeError(f"the file is no JPEG, PNG or WebP: its {len(data)} bytes begin with {data[:8]!r}")
    try:
        return _decoded(data, form, max_pixels)
    except (ImageError, MemoryError):
        raise
    except Image.DecompressionBombError as error:  # raised by the WebP reader beyond 179 million pixels
        raise ImageTooLargeError(" ".join(str(error).split())) from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DecodeError(f"the file is a damaged {form} of {len(data)} bytes: {reason}") from error


def decode_mask(data: bytes, *, max_pixels: int) -> Tensor:
    """Return which pixels a mask image marks, bool of shape (H, W): those nearer to white than to black.

    Raises:
        ImageError: The bytes are not an image that we read, or one of more pixels by its header.
    """
    return decode(data, max_pixels=max_pixels).pixels.mean(0) > 0


def encode(image: Tensor, *, like: Picture, output_format: OutputFormat, quality: int, provenance: str) -> bytes:
    """Return an image file with the metadata of the picture it comes from; equal arguments give equal bytes.

    Args:
        image: Shape (1, H, W) for grey or (3, H, W) for RGB; values outside [-1, 1] are clipped.
        like: Where the image comes from. An ICC profile of grey is left out of an image in colour, and the
            other way round.
        output_format: WebP has no grey: such an image becomes three equal channels.
        quality: 1 to 100, of WebP and of JPEG, which keeps the full resolution of its colours.
        provenance: What `read_provenance` is to find.

    Raises:
        UnsupportedImageError: The format has no room for the image or for its metadata.
    """
    values = image.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    height, width, channels = values.shape
    _check_room(output_format, like.metadata, width, height)
    packet = xmp.with_provenance(like.metadata.xmp, provenance, width=width, height=height)
    is_grey = channels == 1 and output_format is not OutputFormat.WEBP
    options = _metadata_options(like, "L" if is_grey else "RGB", width, height)
    match output_format:
        case OutputFormat.PNG:
            options["pnginfo"] = _png_info(like.metadata, packet)
        case OutputFormat.JPEG:
            comments = [text for keyword, text in like.metadata.texts if keyword == COMMENT]
            options |= {"xmp": packet, "quality": quality, "subsampling": 0, "comment": "\n".join(comments)}
            if like.metadata.iptc is not None:
                options["extra"] = iptc.segments(like.metadata.iptc)
        case OutputFormat.WEBP:
            options |= {"xmp": packet, "quality": quality}
    buffer = io.BytesIO()
    try:
        image_file = Image.fromarray(values[..., 0] if channels == 1 else values)
        image_file.save(buffer, output_format.name, **options)
    except (OSError, ValueError) as error:
        raise UnsupportedImageError(
            f"a {output_format.name} has no room for this image's metadata: {error}; choose `output_format` png"
        ) from error
    return buffer.getvalue()


def read_provenance(data: bytes) -> str | None:
    """Return what `encode` was given for these bytes; None if they are anything else, image or not.

    Reads headers only, whoever made the bytes.
    """
    packet = containers.xmp_of(data)
    return xmp.provenance_in(packet) if packet is not None else None


def _decoded(data: bytes, form: containers.Format, max_pixels: int) -> Picture:
    block = resources = b""
    if form == "JPEG":
        data, block = containers.split_exif(data)  # Pillow would make up a resolution from it
        data, resources = containers.split_photoshop(data)  # and refuse a picture for resources that are cut
    elif form == "WEBP" and (size := containers.webp_size(data)):
        _check_pixels(size, max_pixels)  # Pillow allocates the canvas when it opens the file
    with READERS[form](io.BytesIO(data)) as file:
        _check_pixels(file.size, max_pixels)
        _check_kind(file)
        depth = {"1": 1, "L;2": 2, "L;4": 4}.get(str(file.tile[0].args) if file.tile else "", 8)
        file.load()
        metadata, order = metadata_of(
            file.info,
            block=block,
            resources=resources,
            texts=getattr(file, "text", {}),
            colour=_png_colour(data, form),
        )
        image = _opaque(file, depth)
    if order in TURNS:
        image = image.transpose(TURNS[order])
    values = np.array(image).reshape(image.height, image.width, -1)
    pixels = torch.from_numpy(values).permute(2, 0, 1).contiguous().float().div_(127.5).sub_(1)
    return Picture(pixels=pixels, mode=image.mode, bit_depth=depth, metadata=metadata)


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"the image has {width} x {height} pixels, but `max_pixels` is {max_pixels}; raise it if the memory allows"
        )


def _check_kind(file: ImageFile) -> None:
    """Refuse, before a pixel is decoded, what cannot be restored without losing a part of it."""
    frames = getattr(file, "n_frames", 1)
    if frames > 1:
        raise UnsupportedImageError(
            f"the file is an animation of {frames} frames, of which one alone would be restored; split it "
            "into single images first"
        )
    index = file.info.get("mp")
    others = set(exif.pictures(index)[1:]) - PREVIEWS if isinstance(index, bytes) else set()
    if file.format == "JPEG" and others:
        raise UnsupportedImageError(
            "the file holds further pictures (a stereo pair, a panorama or an HDR gain map), which would be "
            "lost; save the first one as a plain JPEG first"
        )
    if file.mode == "CMYK":
        raise UnsupportedImageError(
            "the image is CMYK, whose inks have no place in RGB; convert it to RGB through its profile first"
        )
    if any(";16" in str(tile.args) for tile in file.tile):
        raise UnsupportedImageError(
            "the image has 16 bits a channel, of which 8 would be lost; convert it to 8 bits first if those will do"
        )


def _opaque(file: Image.Image, depth: int) -> Image.Image:
    """Return a loaded image as "L" or "RGB", without a transparency that hides nothing.

    Raises:
        UnsupportedImageError: Some pixels are transparent.
    """
    image, grey = file, file.mode in ("1", "L", "LA")
    if file.mode == "P":
        palette = np.array(file.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
        grey = bool((palette == palette[:, :1]).all())
    if file.has_transparency_data:
        image = file.convert("RGBA")
        # the one transparent grey of a file with fewer bits is not scaled as its pixels are
        least, _ = (0, 0) if depth < 8 else image.getchannel("A").getextrema()
        if least != 255:
            raise UnsupportedImageError(
                "the image has transparent pixels, and there is nothing to restore behind them; flatten it "
                "onto a background first"
            )
    return image.convert("L" if grey else "RGB")


def _png_colour(data: bytes, form: containers.Format) -> tuple[tuple[bytes, bytes], ...]:
    blocks = containers.png_blocks(data) if form == "PNG" else ()
    return tuple((name, data[start:end]) for name, start, end in blocks if name in PNG_COLOUR)


def _check_room(output_format: OutputFormat, metadata: Metadata, width: int, height: int) -> None:
    """Refuse what the format cannot hold whatever the encoder does."""
    if max(width, height) > LARGEST_SIDE[output_format]:
        raise UnsupportedImageError(
            f"a {output_format.name} has sides of at most {LARGEST_SIDE[output_format]} pixels, the restored "
            f"image is {width} x {height}; choose `output_format` png"
        )
    if output_format is not OutputFormat.PNG and metadata.only_png_can_say_it:
        raise UnsupportedImageError(
            f"the image's own gamma or colour space is one that a {output_format.name} cannot state; choose "
            "`output_format` png"
        )


def _metadata_options(like: Picture, mode: str, width: int, height: int) -> dict[str, Any]:
    """Return what Pillow's three writers take alike, for an image of this mode and size."""
    known, options = like.metadata, dict[str, Any]()
    if known.exif is not None:
        options["exif"] = containers.EXIF_HEADER + exif.resized(known.exif, width=width, height=height)
    if mode == like.mode and (profile := known.icc_for(mode)):
        options["icc_profile"] = profile
    if known.dpi is not None:
        options["dpi"] = known.dpi
    return options


def _png_info(metadata: Metadata, packet: bytes) -> PngImagePlugin.PngInfo:
    """Return the chunks that Pillow does not write by itself."""
    info = PngImagePlugin.PngInfo()
    for name, content in metadata.colour:
        info.add(name, content)
    for keyword, text in metadata.texts:
        info.add_text(keyword, text)
    if metadata.iptc is not None and iptc.PNG_KEYWORD not in dict(metadata.texts):
        info.add_text(iptc.PNG_KEYWORD, iptc.text_of(metadata.iptc))
    info.add_itxt("XML:com.adobe.xmp", packet)
    return info
