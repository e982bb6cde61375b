"""What is refused or read before anything is decoded."""

from __future__ import annotations

import gzip
import struct
import zlib

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from service.images.header import ImageError, read_header
from service.settings import load_settings
from tests.service.conftest import encode

LIMIT = 10**6


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_ignored(corners: Image.Image) -> None:
    data = encode(corners, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert read_header(data, LIMIT).orientation == 1


def test_pixels_are_counted_before_decoding() -> None:
    data = encode(Image.new("1", (2000, 2000)), "PNG")
    with pytest.raises(ImageError, match=r"2000 x 2000 pixels; at most 1000000") as info:
        read_header(data, LIMIT)
    assert info.value.kind == "too-many-pixels"


def test_a_bomb_is_refused_by_its_header() -> None:
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">2I5B", 200_000, 200_000, 1, 0, 0, 0, 0)
    data = header + struct.pack(">I", zlib.crc32(header[12:])) + b"\0\0\0\0IEND\xaeB`\x82"
    with pytest.raises(ImageError) as info:
        read_header(data, LIMIT)
    assert info.value.kind == "too-many-pixels"


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"%PDF-1.7", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"II*\0" + b"\0" * 64]
)
def test_other_formats_are_named_unsupported(data: bytes) -> None:
    with pytest.raises(ImageError, match="supported: JPEG, PNG, WebP, AVIF, GIF, BMP") as info:
        read_header(data, LIMIT)
    assert info.value.kind == "unsupported-format"


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def with_xmp(image: Image.Image, format_: str, exif_orientation: int | None = None) -> bytes:
    exif = Image.Exif()
    if exif_orientation is not None:
        exif[0x0112] = exif_orientation
    if format_ == "PNG":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        return encode(image, "PNG", pnginfo=text, exif=exif)
    return encode(image, format_, xmp=XMP, exif=exif)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_an_orientation_in_xmp_is_ignored(corners: Image.Image, format_: str) -> None:
    data = with_xmp(corners, format_)
    assert b"tiff:Orientation" in data
    header = read_header(data, LIMIT)
    assert (header.orientation, header.size_image) == (1, (32, 48))
    assert read_header(with_xmp(corners, format_, exif_orientation=3), LIMIT).orientation == 3


@pytest.mark.parametrize("size", [(8160, 6144), (8192, 6144), (9248, 6936), (6144, 8192)])
def test_phones_of_50_and_64_megapixels_are_accepted(size: tuple[int, int]) -> None:
    data = encode(Image.new("1", size), "PNG")
    assert read_header(data, load_settings({}).max_pixels).size_image == size[::-1]


def test_gzip_is_named() -> None:
    with pytest.raises(ImageError, match="this is a gzip file: unpack it"):
        read_header(gzip.compress(b"x"), LIMIT)
