"""Images with a color profile look as their owner sees them."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from service.images.color_profile import to_srgb
from service.images.decoding import decode
from service.images.header import read_header
from tests.service.conftest import encode

COLOR = (40, 120, 200)
PRIMARIES = {"red": (0.4361, 0.2225, 0.0139), "green": (0.3851, 0.7169, 0.0971), "blue": (0.1431, 0.0606, 0.7141)}


def profile(red: str, green: str, blue: str, gamma: float = 2.2) -> bytes:
    """An RGB profile whose channels are these primaries of sRGB, for instance in another order."""

    def xyz(values: tuple[float, float, float]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"text\0\0\0\0test\0\0\0\0"
    tags = {b"cprt": text, b"wtpt": xyz((0.9642, 1.0, 0.8249))}
    tags |= {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 79}
    for name, primary in ((b"r", red), (b"g", green), (b"b", blue)):
        tags |= {name + b"XYZ": xyz(PRIMARIES[primary]), name + b"TRC": curve}
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    head += struct.pack(">3i", round(0.9642 * 65536), 65536, round(0.8249 * 65536))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


SWAPPED = profile("blue", "green", "red")


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_a_profile_is_applied(format_: str) -> None:
    stored = Image.new("RGB", (32, 24), COLOR[::-1])
    options = {"JPEG": {"quality": 98, "subsampling": 0}, "PNG": {}, "WEBP": {"lossless": True}}[format_]
    data = encode(stored, format_, icc_profile=SWAPPED, **options)
    shown = decode(data, read_header(data, 10**6), (24, 32)).image
    assert np.abs(np.asarray(shown)[..., :3].astype(int) - COLOR).max() <= 8


def test_srgb_under_another_name_changes_nothing() -> None:
    image = Image.new("RGB", (8, 8), COLOR)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert to_srgb(image, srgb) is image
    assert to_srgb(image, None) is image
    assert to_srgb(image, profile("red", "green", "blue", gamma=1.0)) is not image


@pytest.mark.parametrize("broken", [b"", b"x" * 200, SWAPPED[:150]])
def test_a_damaged_profile_is_ignored(broken: bytes) -> None:
    image = Image.new("RGB", (8, 8), COLOR)
    assert to_srgb(image, broken) is image


def test_a_profile_of_another_color_space_is_ignored() -> None:
    image = Image.new("RGB", (8, 8), COLOR)
    assert to_srgb(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()) is image
