"""From the bytes of an image file to RGB pixels, safely: what the header says is checked before anything is decoded."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from model.letterbox import LETTERBOX_COLOR, Letterbox

Size = tuple[int, int]  # height, width
Pixels = NDArray[np.uint8]  # [height, width, 3] RGB

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP")
FORMAT_NAMES = "JPEG, PNG, WebP, AVIF, GIF, BMP"
ORIENTATION = 0x0112  # EXIF tag
SWAPPING = (5, 6, 7, 8)  # orientations that exchange height and width

# Pillow only warns at its own limit; `read_header` refuses before a pixel is allocated.
Image.MAX_IMAGE_PIXELS = None


class ImageError(ValueError):
    """An image cannot be used. `kind` is a key of `service.http.problems.TITLES`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Header:
    """What a file says about its picture. `size_image` is upright: EXIF orientation (1..8) applied."""

    format: str
    mode: str  # Pillow's
    orientation: int
    size_image: Size


def read_header(data: bytes, max_pixels: int) -> Header:
    """Format, size and orientation, without decoding.

    Raises ImageError: "unsupported-format", "broken-image" or "too-many-pixels".
    """
    image = _open(data)
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            "too-many-pixels", f"the image has {width} x {height} pixels; at most {max_pixels} are accepted: shrink it"
        )
    orientation = _orientation(image, data)
    return Header(image.format or "", image.mode, orientation, _swapped((height, width), orientation))


def decode(data: bytes, header: Header, at_least: Size) -> Image.Image:
    """The upright picture (mode RGB or RGBX), at its own size or reduced to no less than `at_least`.

    A JPEG is reduced while it is decoded, which saves most of the time. Only the first frame of an animation is read;
    transparent pixels become white. Raises ImageError "broken-image".
    """
    least = _swapped(at_least, header.orientation)
    image = None
    # MPO is what Pillow calls a JPEG with further pictures behind it, as phones write them.
    if header.format in ("JPEG", "MPO") and header.mode in ("RGB", "L"):
        image = _decode_jpeg(data, least)
    if image is None:
        image = _decode_any(data, least)
    return _upright(image, header.orientation)


def fit_canvas(image: Image.Image, letterbox: Letterbox, size_canvas: Size) -> Pixels:
    """A picture laid into a canvas, [H, W, 3]; the bars are LETTERBOX_COLOR."""
    canvas = Image.new("RGB", (size_canvas[1], size_canvas[0]), LETTERBOX_COLOR)
    resized = image.resize((letterbox.width, letterbox.height), Image.Resampling.BILINEAR)
    canvas.paste(resized.convert("RGB"), (letterbox.offset_x, letterbox.offset_y))
    return np.array(canvas)


def _swapped(size: Size, orientation: int) -> Size:
    return (size[1], size[0]) if orientation in SWAPPING else size


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        pass
    except Exception as error:  # Pillow's readers raise what they like on damaged headers
        raise ImageError("broken-image", f"the image's header is damaged: {error}") from error
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8")) or data[4:12] == b"ftypavif":
        raise ImageError("broken-image", "the image's header is damaged")
    heic = data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
    what = "HEIC is not supported" if heic else "this is no image of a supported format"
    raise ImageError("unsupported-format", f"{what}; supported: {FORMAT_NAMES}")


def _orientation(image: Image.Image, data: bytes) -> int:
    try:
        # Pillow would decode a whole PNG to see whether EXIF follows the pixels.
        exif = _png_exif(data) if image.format == "PNG" else image.getexif()
        value = exif.get(ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error):
        return 1  # a picture with damaged EXIF is shown as stored, as browsers do
    return value if value in range(1, 9) else 1


def _png_exif(data: bytes) -> Image.Exif:
    """The chunk eXIf, which may stand before or after the pixels; empty without one."""
    exif = Image.Exif()
    at = len(b"\x89PNG\r\n\x1a\n")
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"eXIf":
            exif.load(b"Exif\0\0" + data[at + 8 : at + 8 + length])
            break
        at += 12 + length  # length, kind, content, checksum
    return exif


def _decode_jpeg(data: bytes, least: Size) -> Image.Image | None:
    """libjpeg-turbo straight into Pillow's pixel layout; None where it refuses, for Pillow to judge."""
    try:
        # min_* may also enlarge: libjpeg-turbo's scales go up to 2.
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        pixels = simplejpeg.decode_jpeg(
            data, colorspace="RGBX", min_height=min(least[0], height), min_width=min(least[1], width)
        )
    except ValueError:
        return None
    height, width = pixels.shape[:2]
    return Image.frombuffer("RGBX", (width, height), pixels, "raw", "RGBX", 0, 1)


def _decode_any(data: bytes, least: Size) -> Image.Image:
    image = _open(data)
    try:
        image.draft("RGB", (least[1], least[0]))
        image.load()
        return _rgb(image)
    except Exception as error:  # as above
        raise ImageError("broken-image", f"the image is damaged: {error}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):  # 16-bit grey
        return Image.fromarray((np.asarray(image).clip(0, 65535) / 257 + 0.5).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
