"""Marks the pictures that this program writes, so that it neither overwrites nor parses anything else by mistake."""

from __future__ import annotations

import io

from PIL import Image

from service.images.header import FORMATS

SOFTWARE = 0x0131  # EXIF tag
NAME = "humanparse"


def stamp() -> Image.Exif:
    """Return EXIF data that name this program: for `exif=` of Image.save."""
    exif = Image.Exif()
    exif[SOFTWARE] = NAME
    return exif


def is_stamped(data: bytes) -> bool:
    """Whether this program wrote a picture; False for a file that is none."""
    exif = Image.Exif()
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            exif.load(image.info.get("exif", b""))
        return exif.get(SOFTWARE) == NAME
    except Exception:  # Pillow's readers raise what they like on damaged files
        return False
