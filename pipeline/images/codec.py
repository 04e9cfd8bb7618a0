"""Decode image files to pixels and metadata, and encode them again. Only this file and jpeg_file.py use Pillow.

Read and written: JPEG, PNG and WebP of 8 bits, grey or RGB, turned upright by EXIF's orientation. The metadata
of an input goes into its output: ICC profile, EXIF, XMP, and, except in WebP, which has no place for them, IPTC,
resolution and texts. Not carried over: extended XMP of more than 64 KB, XMP in another form than RDF in UTF-8,
and descriptions of the old pixels: thumbnails, orientation, sizes. docs/manifest.md has the table.

In all three formats, an output names its job and its input in the XMP property `deqir:provenance`. It survives
programs that keep metadata, also when they convert the format.
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

# Not through Image.open: its bound on pixels is a warning and holds for the whole process; ours is the job's.
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
    """The upright pixels of an image file and its metadata.

    Attributes:
        pixels: float32, shape (c, h, w), in [-1, 1]; c is 1 for grey and 3 for RGB.
        mode: "L" for grey or "RGB".
        bit_depth: Bits a channel in the file.
        metadata: Metadata to copy into the restored image.
        orientation: EXIF's, 1 to 8, of the pixels in the file.
    """

    pixels: Tensor
    mode: str
    bit_depth: int
    metadata: Metadata
    orientation: int = 1


def decode(data: bytes, *, max_pixels: int) -> Picture:
    """Return the picture in a JPEG, PNG or WebP file. The format is found from the bytes, not from a name.

    Raises:
        EmptyFileError: The file has zero bytes.
        DecodeError: The file has another format, or is damaged.
        UnsupportedImageError: Something would be lost: 16 bits, transparency, CMYK, further pictures.
        ImageTooLargeError: The header gives more than `max_pixels` pixels; no pixel was decoded.
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
    """Return the pixels marked by a mask image, bool of shape (H, W): True where nearer to white than to black.

    Raises:
        ImageError: `decode` cannot read the image, or it has more than `max_pixels` pixels.
    """
    return decode(data, max_pixels=max_pixels).pixels.mean(0) > 0


def encode(image: Tensor, *, like: Picture, output_format: OutputFormat, quality: int, provenance: str) -> bytes:
    """Return an image file with the metadata of its source picture; equal arguments give equal bytes.

    Args:
        image: Shape (1, H, W) for grey or (3, H, W) for RGB; values outside [-1, 1] are clipped.
        like: The source picture. Its ICC profile is left out if it is for grey and the image is in colour, or
            the reverse.
        output_format: WebP has no grey: a grey image becomes three equal channels.
        quality: 1 to 100, for WebP and JPEG. JPEG keeps the full resolution of colours at any quality.
        provenance: Text for `read_provenance` to find.

    Raises:
        UnsupportedImageError: The format cannot hold the image or its metadata.
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
    """Return the provenance written by `encode` into these bytes; None if they have none.

    The bytes may come from anybody: only headers are read.
    """
    packet = containers.xmp_of(data)
    return xmp.provenance_in(packet) if packet is not None else None


def _decoded(data: bytes, form: containers.Format, max_pixels: int) -> Picture:
    block = resources = b""
    if form == "JPEG":
        data, block = containers.split_exif(data)  # Pillow would make up a resolution from it
        data, resources = containers.split_photoshop(data)  # and refuse a picture whose resources are cut off
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
    turn = order if order in TURNS else 1
    return Picture(pixels=pixels, mode=image.mode, bit_depth=depth, metadata=metadata, orientation=turn)


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"the image has {width} x {height} pixels, but `max_pixels` is {max_pixels}; raise it if the memory allows"
        )


def _check_kind(file: ImageFile) -> None:
    """Refuse a file, before any pixel is decoded, if its restoration would lose a part of it."""
    frames = getattr(file, "n_frames", 1)
    if frames > 1:
        raise UnsupportedImageError(
            f"the file is an animation of {frames} frames, and only the first would be restored; split it "
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
            "the image has 16 bits a channel, of which 8 would be lost; convert it to 8 bits first if 8 are enough"
        )


def _opaque(file: Image.Image, depth: int) -> Image.Image:
    """Return a loaded image as "L" or "RGB". An alpha channel without a transparent pixel is dropped.

    Raises:
        UnsupportedImageError: Some pixels are transparent.
    """
    image, grey = file, file.mode in ("1", "L", "LA")
    if file.mode == "P":
        palette = np.array(file.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
        grey = bool((palette == palette[:, :1]).all())
    if file.has_transparency_data:
        image = file.convert("RGBA")
        # below 8 bits Pillow scales the pixels, but not the grey that is marked as transparent
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
    """Refuse an image or metadata beyond the limits of the output format."""
    if max(width, height) > LARGEST_SIDE[output_format]:
        raise UnsupportedImageError(
            f"a {output_format.name} has sides of at most {LARGEST_SIDE[output_format]} pixels, the restored "
            f"image is {width} x {height}; choose `output_format` png"
        )
    if output_format is not OutputFormat.PNG and metadata.only_png_can_say_it:
        raise UnsupportedImageError(
            f"the image has a gamma or colour space of its own, which a {output_format.name} cannot state; choose "
            "`output_format` png"
        )


def _metadata_options(like: Picture, mode: str, width: int, height: int) -> dict[str, Any]:
    """Return the options of all three Pillow writers, for an image of this mode and size."""
    known, options = like.metadata, dict[str, Any]()
    if known.exif is not None:
        options["exif"] = containers.EXIF_HEADER + exif.resized(known.exif, width=width, height=height)
    if mode == like.mode and (profile := known.icc_for(mode)):
        options["icc_profile"] = profile
    if known.dpi is not None:
        options["dpi"] = known.dpi
    return options


def _png_info(metadata: Metadata, packet: bytes) -> PngImagePlugin.PngInfo:
    """Return the chunks of a PNG to pass to Pillow, which does not write them by itself."""
    info = PngImagePlugin.PngInfo()
    for name, content in metadata.colour:
        info.add(name, content)
    for keyword, text in metadata.texts:
        info.add_text(keyword, text)
    if metadata.iptc is not None and iptc.PNG_KEYWORD not in dict(metadata.texts):
        info.add_text(iptc.PNG_KEYWORD, iptc.text_of(metadata.iptc))
    info.add_itxt("XML:com.adobe.xmp", packet)
    return info
