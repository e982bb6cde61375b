"""Every kind of file a phone, a scanner or an attacker may send."""

from __future__ import annotations

import contextlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from model.letterbox import LETTERBOX_COLOR, letterbox_geometry
from service.images.decoding import decode, fit_canvas
from service.images.header import ImageError, read_header
from tests.service.conftest import encode

LIMIT = 10**6


def pixels(data: bytes, at_least: tuple[int, int] | None = None) -> np.ndarray:
    header = read_header(data, LIMIT)
    return np.asarray(decode(data, header, at_least or header.size_image).image)[..., :3].astype(int)


@pytest.mark.parametrize(
    ("format_", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("AVIF", {"quality": 95, "subsampling": "4:4:4"}, 6),
        ("JPEG", {"quality": 95, "subsampling": 0}, 6),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}, 6),
        ("GIF", {}, 6),
    ],
)
def test_formats(corners: Image.Image, format_: str, options: dict[str, object], tolerance: int) -> None:
    found = pixels(encode(corners, format_, **options))
    assert np.abs(found - np.asarray(corners)).max() <= tolerance


def test_an_mpo_is_read_as_its_first_picture(corners: Image.Image) -> None:
    data = encode(corners, "MPO", save_all=True, append_images=[corners.rotate(180)], quality=95, subsampling=0)
    assert np.abs(pixels(data) - np.asarray(corners)).max() <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_orientation_is_applied(corners: Image.Image, orientation: int, format_: str) -> None:
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = corners.transpose(inverse[orientation]) if orientation > 1 else corners
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {
        "JPEG": {"quality": 95, "subsampling": 0}, "PNG": {}, "WEBP": {"lossless": True},
        "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    }[format_]  # fmt: skip
    data = encode(stored, format_, exif=exif, **options)
    header = read_header(data, LIMIT)
    assert (header.orientation, header.size_image) == (orientation, (32, 48))
    assert np.abs(pixels(data) - np.asarray(corners)).max() <= 6


def test_exif_behind_the_pixels_of_a_png(corners: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    data = encode(corners, "PNG", exif=exif)
    at = data.index(b"eXIf") - 4
    chunk = data[at : at + 12 + struct.unpack_from(">I", data, at)[0]]
    end = len(data) - 12
    moved = data[:at] + data[at + len(chunk) : end] + chunk + data[end:]
    assert moved.index(b"eXIf") > moved.index(b"IDAT")
    assert read_header(moved, LIMIT).orientation == 3
    assert np.array_equal(pixels(moved), np.asarray(corners)[::-1, ::-1])


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "I;16", "CMYK"])
def test_modes(mode: str) -> None:
    grey = Image.fromarray(np.repeat(np.array([[0, 255]], dtype=np.uint8), 16, axis=1).repeat(16, axis=0))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = grey.convert("RGB").convert(mode) if mode in ("CMYK", "P", "RGBA") else grey.convert(mode)
    found = pixels(encode(image, "JPEG" if mode == "CMYK" else "PNG"))
    assert np.abs(found - np.asarray(grey)[..., None]).max() <= 4


def test_16_bit_colour_keeps_its_upper_byte() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = b"\0" + struct.pack(">3H", 200 << 8, 100 << 8, 50 << 8)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", 1, 1, 16, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    assert pixels(data)[0, 0].tolist() == [200, 100, 50]


def test_transparency_becomes_white() -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert (pixels(encode(image, "PNG")) == 255).all()
    palette = Image.new("P", (8, 8), 3)
    palette.putpalette([0, 0, 0] * 256)
    assert (pixels(encode(palette, "GIF", transparency=3)) == 255).all()


def test_the_first_frame_of_an_animation(corners: Image.Image) -> None:
    other = Image.new("RGB", corners.size, (9, 9, 9))
    data = encode(corners, "WEBP", save_all=True, append_images=[other], lossless=True)
    assert np.array_equal(pixels(data), np.asarray(corners))


def test_a_jpeg_is_reduced_while_decoding_but_never_below_what_is_needed() -> None:
    image = Image.linear_gradient("L").convert("RGB").resize((640, 480))
    data = encode(image, "JPEG")
    assert pixels(data, (200, 260)).shape == (240, 320, 3)
    assert pixels(data, (480, 640)).shape == (480, 640, 3)
    assert pixels(data, (960, 1280)).shape == (480, 640, 3)  # nor enlarged
    reduced, whole = pixels(data, (240, 320)), np.asarray(image.reduce(2)).astype(int)
    assert np.abs(reduced - whole).max() <= 4


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (3, 2)])
@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_tiny_and_thin_pictures(size: tuple[int, int], format_: str) -> None:
    data = encode(Image.new("RGB", size, (250, 250, 250)), format_)
    header = read_header(data, LIMIT)
    letterbox = letterbox_geometry(header.size_image, (64, 96))
    image, _ = decode(data, header, (letterbox.height, letterbox.width))
    canvas = fit_canvas(image, letterbox, (64, 96))
    content = canvas[letterbox.offset_y :, letterbox.offset_x :][: letterbox.height, : letterbox.width]
    assert (content >= 245).all()
    outside = canvas.shape[0] * canvas.shape[1] - letterbox.height * letterbox.width
    assert (canvas == LETTERBOX_COLOR).all(axis=-1).sum() == outside


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_off_file_is_broken(format_: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), format_)
    with pytest.raises(ImageError) as info:
        pixels(data[: int(len(data) * share)])
    assert info.value.kind == "broken-image"


@pytest.mark.parametrize("seed", range(30))
def test_damaged_files_raise_nothing_else(seed: int, corners: Image.Image) -> None:
    rng = np.random.default_rng(seed)
    for format_ in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"):
        data = bytearray(encode(corners, format_))
        for at in rng.integers(2, len(data), 5):
            data[at] = rng.integers(256)
        with contextlib.suppress(ImageError):
            assert pixels(bytes(data)).ndim == 3


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_without_its_end_marker_is_decoded_with_a_warning(mode: str, options: dict[str, object]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 48, 3), dtype=np.uint8)
    thumbnail = encode(Image.new("RGB", (8, 8)), "JPEG")  # has an end marker of its own
    data = encode(Image.fromarray(noise).convert(mode), "JPEG", comment=thumbnail, **options)
    whole = decode(data, read_header(data, LIMIT), (64, 48))
    assert whole.warnings == ()
    assert data.endswith(b"\xff\xd9")
    cut = decode(data[:-2], read_header(data[:-2], LIMIT), (64, 48))
    assert cut.warnings == ("the JPEG file lacks its end marker; all its pixels are there",)
    assert np.array_equal(np.asarray(cut.image), np.asarray(whole.image))
    for missing in (3, 10, 200):
        with pytest.raises(ImageError, match="the image is damaged"):
            decode(data[:-missing], read_header(data, LIMIT), (64, 48))
