"""Decodes an image file to upright RGB pixels and fits them into a canvas."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from model.letterbox import LETTERBOX_COLOR, Letterbox
from service.images.color_profile import to_srgb
from service.images.header import Header, ImageError, Size, open_image, swapped

Pixels = NDArray[np.uint8]  # [height, width, 3] RGB

END_OF_IMAGE = b"\xff\xd9"


class Decoded(NamedTuple):
    """An upright image (mode RGB or RGBX) in sRGB, and what its user should know about it."""

    image: Image.Image
    warnings: tuple[str, ...]


def decode(data: bytes, header: Header, at_least: Size) -> Decoded:
    """Decode a file at its own size, or downscaled to no less than `at_least`.

    A JPEG is downscaled while it is decoded, which saves most of the time. Only the first frame of an animation is
    read; transparent pixels become white. A JPEG without an end marker is accepted, with a warning, if it has all its
    pixels. Raises ImageError "broken-image".
    """
    least = swapped(at_least, header.orientation)
    image: Image.Image | None = None
    warnings: tuple[str, ...] = ()
    # MPO is what Pillow calls a JPEG with further pictures behind it, as phones write them.
    if header.format in ("JPEG", "MPO"):
        image = _decode_jpeg(data, least, header)
        if image is None and _lacks_only_its_end(data, header):
            data, warnings = data + END_OF_IMAGE, ("the JPEG file lacks its end marker; all its pixels are there",)
            image = _decode_jpeg(data, least, header)
    if image is None:
        image = _decode_any(data, least, header)
    return Decoded(_upright(image, header.orientation), warnings)


def fit_canvas(image: Image.Image, letterbox: Letterbox, size_canvas: Size) -> Pixels:
    """Return a canvas uint8 [H, W, 3] with the image fitted in; the bars are LETTERBOX_COLOR."""
    canvas = Image.new("RGB", (size_canvas[1], size_canvas[0]), LETTERBOX_COLOR)
    resized = image.resize((letterbox.width, letterbox.height), Image.Resampling.BILINEAR)
    canvas.paste(resized.convert("RGB"), (letterbox.offset_x, letterbox.offset_y))
    return np.array(canvas)


def _decode_jpeg(data: bytes, least: Size, header: Header) -> Image.Image | None:
    """Decode with libjpeg-turbo into Pillow's pixel layout; return None if it refuses, for Pillow to judge."""
    if header.mode not in ("RGB", "L"):
        return None
    try:
        # min_* may also enlarge: libjpeg-turbo's scales go up to 2.
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        pixels = simplejpeg.decode_jpeg(
            data, colorspace="RGBX", min_height=min(least[0], height), min_width=min(least[1], width)
        )
    except ValueError:
        return None
    height, width = pixels.shape[:2]
    image = Image.frombuffer("RGBX", (width, height), pixels, "raw", "RGBX", 0, 1)
    return to_srgb(image, header.color_profile)


def _lacks_only_its_end(data: bytes, header: Header) -> bool:
    """Whether a JPEG file has all its pixels and no end marker: some cameras and transfers lose it."""
    return not _is_whole_jpeg(data, header) and _is_whole_jpeg(data + END_OF_IMAGE, header)


def _is_whole_jpeg(data: bytes, header: Header) -> bool:
    try:
        # At an eighth of the size, the smallest there is: every bit is read all the same.
        simplejpeg.decode_jpeg(data, colorspace="CMYK" if header.mode == "CMYK" else "GRAY", min_height=1, min_width=1)
    except ValueError:
        return False
    return True


def _decode_any(data: bytes, least: Size, header: Header) -> Image.Image:
    image = open_image(data)
    try:
        image.draft("RGB", (least[1], least[0]))
        image.load()
        if image.mode == "CMYK":
            return _rgb(to_srgb(image, header.color_profile))
        return to_srgb(_rgb(image), header.color_profile)
    except Exception as error:  # Pillow's readers raise what they like on damaged files
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
