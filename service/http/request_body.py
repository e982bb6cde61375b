"""Reads the image file of a request: a multipart field, the raw body, or base64 in JSON. Nothing is written to disk."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from service.problems import Problem

FIELD = "image"
ENVELOPE = 64 * 2**10  # bytes that multipart or JSON may add around the image
HOW = (
    f"send it as multipart/form-data with a field {FIELD!r}, as the body with a Content-Type of image/*, "
    f'or as JSON {{"{FIELD}": "<base64>"}}'
)


async def read_image(request: Request, max_bytes: int, timeout_seconds: float) -> bytes:
    """Return the bytes of the image file in a request.

    Raises Problem: "unsupported-media-type", "too-many-bytes" (as soon as one byte too many has arrived, or before
    if Content-Length tells), "slow-body" or "broken-request".
    """
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    if content_type == b"multipart/form-data":
        body = await _read(request, max_bytes + ENVELOPE, timeout_seconds)
        data = _from_multipart(body, options.get(b"boundary", b""))
    elif content_type == b"application/json":
        body = await _read(request, max_bytes * 4 // 3 + ENVELOPE, timeout_seconds)
        data = _from_json(body)
    elif content_type.startswith(b"image/") or content_type == b"application/octet-stream":
        data = await _read(request, max_bytes, timeout_seconds)
    else:
        name = content_type.decode("latin-1") or "missing"
        raise Problem("unsupported-media-type", f"the Content-Type is {name}: {HOW}")
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    if not data:
        raise Problem("broken-request", f"the request holds no image: {HOW}")
    return data


async def _read(request: Request, limit: int, timeout_seconds: float) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise Problem("slow-body", f"the body did not arrive within {timeout_seconds:g} s") from None
    return bytes(body)


def _too_large(limit: int) -> Problem:
    return Problem("too-many-bytes", f"at most {limit} bytes are accepted: shrink the image")


def _from_json(body: bytes) -> bytes:
    try:
        text = json.loads(body)[FIELD]
        if text.startswith("data:"):
            text = text.partition(",")[2]
        return base64.b64decode(text, validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise Problem("broken-request", f"the JSON body is not {{{FIELD!r}: <base64>}}: {HOW}") from error


def _from_multipart(body: bytes, boundary: bytes) -> bytes:
    reader = _FieldReader()
    callbacks = {
        "on_part_begin": reader.begin_part,
        "on_header_field": reader.header_field,
        "on_header_value": reader.header_value,
        "on_header_end": reader.end_header,
        "on_part_data": reader.part_data,
    }
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except (MultipartParseError, ValueError) as error:
        raise Problem("broken-request", f"the multipart body is damaged: {error}") from error
    return bytes(reader.image)


class _FieldReader:
    """Collects the part named FIELD; the callbacks get pieces of the body as (data, start, end)."""

    def __init__(self) -> None:
        self.image = bytearray()
        self._wanted = False
        self._name, self._value = bytearray(), bytearray()

    def begin_part(self) -> None:
        self._wanted = False

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def end_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._wanted = options.get(b"name") == FIELD.encode()
        self._name, self._value = bytearray(), bytearray()

    def part_data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self.image += data[start:end]
