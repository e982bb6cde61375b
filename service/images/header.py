"""Reads format, size and orientation of an image file and checks them before anything is decoded."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import IO

from PIL import Image, UnidentifiedImageError

from service.images.heic import HEIC_BRANDS, register_heic

Size = tuple[int, int]  # height, width

READS_HEIC = register_heic()
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", *(("HEIF",) if READS_HEIC else ()))
FORMAT_NAMES = "JPEG, PNG, WebP, AVIF, GIF, BMP" + (", HEIC" if READS_HEIC else "")
ORIENTATION = 0x0112  # EXIF tag
SWAPPING = (5, 6, 7, 8)  # orientations that exchange height and width

# Pillow only warns at its own limit; `read_header` refuses before a pixel is allocated.
Image.MAX_IMAGE_PIXELS = None


class ImageError(ValueError):
    """An image cannot be used. `kind` is a key of `service.problems.TITLES`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Header:
    """Properties of an image file. `size_image` is upright: EXIF orientation (1..8) applied."""

    format: str
    mode: str  # Pillow's
    orientation: int
    size_image: Size
    color_profile: bytes | None = None  # ICC


def read_file(file: IO[bytes], max_bytes: int) -> bytes:
    """Return the bytes of an image file. Raises ImageError "too-many-bytes"."""
    data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ImageError("too-many-bytes", f"it is larger than {max_bytes} bytes (HUMANPARSE_MAX_BYTES)")
    return data


def read_header(data: bytes, max_pixels: int) -> Header:
    """Read format, size and orientation without decoding.

    Raises ImageError: "unsupported-format", "broken-image" or "too-many-pixels".
    """
    image = open_image(data)
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            "too-many-pixels", f"the image has {width} x {height} pixels; at most {max_pixels} are accepted: shrink it"
        )
    orientation = _orientation(image, data)
    size_image = swapped((height, width), orientation)
    return Header(image.format or "", image.mode, orientation, size_image, image.info.get("icc_profile"))


def swapped(size: Size, orientation: int) -> Size:
    """Return the stored size of an upright one, or the other way round."""
    return (size[1], size[0]) if orientation in SWAPPING else size


def open_image(data: bytes) -> Image.Image:
    """Open the file and read its header. Raises ImageError "broken-image" or "unsupported-format"."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        pass
    except Exception as error:  # Pillow's readers raise what they like on damaged headers
        raise ImageError("broken-image", f"the image's header is damaged: {error}") from error
    heic = data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS
    known = data.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8")) or data[4:12] == b"ftypavif"
    if known or (heic and READS_HEIC):
        raise ImageError("broken-image", "the image's header is damaged")
    what = "this is no image of a supported format"
    if heic:
        what = "HEIC is read only where the server has the extra heif (pip install 'humanparse[heif]'): send it as JPEG"
    elif data[:2] == b"\x1f\x8b":
        what = "this is a gzip file: unpack it"
    raise ImageError("unsupported-format", f"{what}; supported: {FORMAT_NAMES}")


def _orientation(image: Image.Image, data: bytes) -> int:
    try:
        # Image.getexif would also take an orientation from XMP, which browsers and OpenCV ignore, and decode a whole
        # PNG to see whether EXIF follows the pixels.
        exif = Image.Exif()
        exif.load((_png_exif(data) if image.format == "PNG" else image.info.get("exif")) or b"")
        value = exif.get(ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error):
        return 1  # a picture with damaged EXIF is shown as stored, as browsers do
    return value if value in range(1, 9) else 1


def _png_exif(data: bytes) -> bytes | None:
    """Return the chunk eXIf, which may stand before or after the pixels; None without one."""
    at = len(b"\x89PNG\r\n\x1a\n")
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"eXIf":
            return b"Exif\0\0" + data[at + 8 : at + 8 + length]
        at += 12 + length  # length, kind, content, checksum
    return None
