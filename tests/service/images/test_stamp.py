"""Pictures of the program are told from others."""

from __future__ import annotations

import pytest
from PIL import Image

from service.images.stamp import is_stamped, stamp
from tests.service.conftest import encode


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_a_stamp_is_found_again(corners: Image.Image, format_: str) -> None:
    assert is_stamped(encode(corners, format_, exif=stamp()))
    assert not is_stamped(encode(corners, format_))
    camera = Image.Exif()
    camera[0x0131] = "Camera 1.0"
    assert not is_stamped(encode(corners, format_, exif=camera))


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1\0\x08Exif\0\0"])
def test_what_is_no_picture_is_not_stamped(data: bytes) -> None:
    assert not is_stamped(data)
