"""Over 300 wrong requests, each in a way of its own. All must be answered with a 4xx that says what is wrong."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP")
BOUNDARY = "b"
FORM = f"multipart/form-data; boundary={BOUNDARY}"

# Files of other kinds, by their first bytes.
FOREIGN = {
    "text": b"hello",
    "html": b"<!doctype html><img src=x>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "svg-entity": b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
    "pdf": b"%PDF-1.7\n",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "zip": b"PK\x03\x04",
    "gzip": gzip.compress(b"image"),
    "tiff": b"II*\x00\x08\x00\x00\x00",
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "mp4": b"\0\0\0\x18ftypisom\0\0\0\0isom",
    "ico": b"\0\0\1\0\1\0",
    "netpbm": b"P6 1 1 255\n\0\0\0",
    "psd": b"8BPS\0\1",
    "jpeg2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "jpegxl": b"\xff\x0a",
    "flash": b"FWS\x05",
    "elf": b"\x7fELF\x02",
    "pickle": b"\x80\x04\x95",
    "numpy": b"\x93NUMPY\x01\0",
    "path": b"/etc/passwd",
    "url": b"http://127.0.0.1/a.png",
    "zeros": bytes(1000),
    "ones": b"\xff" * 1000,
}
PARAMETERS = (
    *("mask=none", "masks=", "masks=RLE", "masks=none&masks=none", "layer=depth", "layer=parts%00", "masks[]=rle"),
    *("detail=", "detail=FAST", "detail=../../etc/passwd", "detail=fast;high", "detail=%ff%fe", "detail=" + "x" * 5000),
    *("url=http%3A%2F%2F127.0.0.1%2F", "path=%2Fetc%2Fpasswd", "model=%2Ftmp%2Fx", "image=x", "__proto__=1", "%00=1"),
    *("masks=%F0%9F%92%A9", "layer=' OR 1=1", "layer=${jndi:ldap://x}", "=", "masks", "detail=fast&detail=high"),
)
DEADLINES = ("soon", "-1", "1.5", "1e3", "0x10", "١٢", "9" * 10, "", "+1", "1,2", "NaN")
ACCEPTS = ("text/html", "image/avif", "application/xml", "application/json;q=0", "*/*;q=0", "x", ",", "image/*;q=x")
TEXTS = ("%%%", "QQ=", "====", "QQ==QQ==", "data:image/png,abc", "data:;base64", "http://127.0.0.1/a.png", "é", "\0")


class Hostile(NamedTuple):
    """A request that must be refused."""

    name: str
    body: bytes
    headers: dict[str, bytes]
    query: str = ""


def hostile_requests() -> Iterator[Hostile]:
    """Yield all of them, the same every time."""
    files = dict(_files())
    good = files["PNG"]
    for name, data in (*_truncated(files), *_damaged(files), *_bombs(), *FOREIGN.items()):
        yield Hostile(f"raw {name}", data, _type("image/png"))
        yield Hostile(f"form {name}", _form(_field("image", data)), _type(FORM))
    for name, data in FOREIGN.items():
        yield Hostile(f"json {name}", json.dumps({"image": base64.b64encode(data).decode()}).encode(), _type(JSON))
    for query in PARAMETERS:
        yield Hostile(f"query {query:.40}", good, _type("image/png"), query)
    for value in DEADLINES:
        yield Hostile(f"deadline {value!r}", good, {**_type("image/png"), "X-Deadline-Ms": value.encode()})
    for value in ACCEPTS:
        yield Hostile(f"accept {value}", good, {**_type("image/png"), "Accept": value.encode()})
    for value in ("gzip", "br", "deflate, gzip", "aws-chunked", "x"):
        yield Hostile(
            f"coding {value}", gzip.compress(good), {**_type("image/png"), "Content-Encoding": value.encode()}
        )
    for value in (
        "",
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "video/mp4",
        "image",
        "x/image",
    ):
        yield Hostile(f"type {value!r}", good, _type(value))
    for body in _jsons(good):
        yield Hostile(f"json {body[:40]!r}", body, _type(JSON))
    for name, type_, body in _forms(good):
        yield Hostile(f"form {name}", body, _type(type_))


JSON = "application/json"


def _type(value: str) -> dict[str, bytes]:
    return {"Content-Type": value.encode()}


def _files() -> Iterator[tuple[str, bytes]]:
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    for format_ in FORMATS:
        file = io.BytesIO()
        Image.fromarray(noise).save(file, format_)
        yield format_, file.getvalue()


def _truncated(files: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for format_, data in files.items():
        for share in (0.001, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7):
            yield f"{format_} cut at {share}", data[: 1 + int(share * len(data))]


def _damaged(files: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for format_, data in files.items():
        yield f"{format_} of zeros", data[:12] + bytes(len(data) - 12)
        yield f"{format_} of ones", data[:12] + b"\xff" * (len(data) - 12)
        yield f"{format_} twice its head", data[:12] * 2
    png = files["PNG"]
    idat = png.index(b"IDAT")
    yield "PNG with a broken stream", png[: idat + 20] + bytes(40) + png[idat + 60 :]
    yield "PNG without pixels", png[: idat - 4] + _chunk(b"IEND", b"")
    yield "PNG whose text is a bomb", png[:33] + _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**7)))
    yield "JPEG without tables", files["JPEG"].replace(b"\xff\xdb", b"\xff\xfe").replace(b"\xff\xc4", b"\xff\xfe")
    yield "BMP of a negative width", files["BMP"][:18] + struct.pack("<i", -5) + files["BMP"][22:]
    yield "GIF without frames", files["GIF"][:13] + b";"


def _bombs() -> Iterator[tuple[str, bytes]]:
    """Files of a few bytes that promise gigabytes, or nothing."""
    for width, height in ((8193, 8192), (60_000, 60_000), (2**31 - 1, 1), (2**31 - 1, 2**31 - 1), (1, 2**30), (0, 5)):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        pixels = _chunk(b"IDAT", zlib.compress(bytes(1000)))
        yield (
            f"PNG of {width} x {height}",
            b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + pixels + _chunk(b"IEND", b""),
        )
    yield "GIF of 65535 x 65535", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";"
    head = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0)
    yield "BMP of 50000 x 50000", head
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 65500, 65500, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
    yield "JPEG of 65500 x 65500", b"\xff\xd8" + frame + b"\xff\xda\0\x0c\3\1\0\2\0\3\0\0\x3f\0\xff\xd9"
    canvas = struct.pack("<I", 16383)[:3] * 2
    yield "WebP of 16384 x 16384", b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + canvas


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _jsons(good: bytes) -> Iterator[bytes]:
    text = base64.b64encode(good)
    yield from (b"", b"{", b"null", b"3", b'"x"', b"[]", b"{}", b"\xff\xfe", b"[" * 60_000, b'{"a":' * 30_000, b"NaN")
    yield from (b'{"image": %s}' % value for value in (b"null", b"3", b"[]", b"{}", b"true", b"1e999", b'""', b"NaN"))
    yield from (json.dumps({"image": value}).encode() for value in TEXTS)
    yield b'{"image": "%s", "image": "%s"}' % (text, text)
    yield b'{"image": "%s", "url": "http://127.0.0.1/"}' % text
    yield b'{"image": "%s", "masks": {"a": [1]}}' % text
    yield b'{"image": "%s", "detail": 5}' % text
    yield b'{"image": "%s"} {}' % text
    yield b'{"image": "\\ud800"}'
    yield b'{"path": "/etc/passwd"}'


def _forms(good: bytes) -> Iterator[tuple[str, str, bytes]]:
    whole = _field("image", good)
    yield "no boundary", "multipart/form-data", _form(whole)
    yield "another boundary", "multipart/form-data; boundary=c", _form(whole)
    yield "a long boundary", "multipart/form-data; boundary=" + "x" * 5000, _form(whole)
    yield "nothing", FORM, b""
    yield "no part", FORM, _form()
    yield "no end", FORM, _form(whole)[:-6]
    yield "two images", FORM, _form(whole, whole)
    yield "another field", FORM, _form(_field("photo", good))
    yield "an unknown field", FORM, _form(whole, _field("url", b"http://127.0.0.1/"))
    yield "a repeated field", FORM, _form(whole, *[_field("masks", b"none")] * 2)
    yield "a wrong value", FORM, _form(whole, _field("detail", b"../x"))
    yield "no name", FORM, _form(_field("image", good).replace(b'; name="image"', b""))
    yield "no disposition", FORM, _form(b"Content-Type: image/png\r\n\r\n" + good)
    yield "a name of zeros", FORM, _form(_field("\0", good))
    yield "an empty image", FORM, _form(_field("image", b""))
    yield "many parts", FORM, _form(*[_field("masks", b"none")] * 2000)
    yield "many headers", FORM, _form(b"A: b\r\n" * 20_000 + whole)
    yield "a long header", FORM, _form(b"A: " + b"b" * 50_000 + b"\r\n" + whole + b"\0" * 50_000)
    yield "a broken header", FORM, _form(b"A\0\r\n" + whole)
    yield "base64 inside", FORM, _form(b"Content-Transfer-Encoding: base64\r\n" + whole)
    yield "a form inside", FORM, _form(b'Content-Disposition: form-data; name="x"\r\n\r\n' + _form(whole))
    yield "a body that is no form", FORM, good
    yield "line feeds alone", FORM, _form(whole).replace(b"\r\n", b"\n")


def _field(name: str, content: bytes) -> bytes:
    return f'Content-Disposition: form-data; name="{name}"; filename="../../etc/passwd"\r\n\r\n'.encode() + content


def _form(*parts: bytes) -> bytes:
    return b"".join(f"--{BOUNDARY}\r\n".encode() + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()
