"""Reads the body of POST /parse: multipart, the raw image, or JSON with base64. Nothing is written to disk."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from service.http.base64_text import decode_base64
from service.http.multipart import read_multipart
from service.http.parameters import PARAMETERS, unknown_fields
from service.problems import Problem

FIELD, SEVERAL = "image", "images"
FIELDS = (FIELD, *PARAMETERS)
FORM_FIELDS = (FIELD, SEVERAL, *PARAMETERS)
ENVELOPE = 64 * 2**10  # bytes that multipart or JSON may add around the image
MAX_PARTS = 15  # of a form, besides images; more is no form of ours
HOW = (
    f"send it as multipart/form-data with a field {FIELD!r}, as the body with a Content-Type of image/*, "
    f'or as JSON {{"{FIELD}": "<base64>"}}'
)


class ImageFile(NamedTuple):
    """An image file as it was sent; the name is empty where none was."""

    name: str
    data: bytes


class Body(NamedTuple):
    """The image files and the parameters that stand beside them; `several`: each has a response of its own."""

    images: list[ImageFile]
    parameters: dict[str, str]
    several: bool = False


def largest_body(max_bytes: int) -> int:
    """Return the bytes of the largest body that may hold an image of `max_bytes`: JSON with base64."""
    return max_bytes * 4 // 3 + ENVELOPE


async def read_body(request: Request, max_bytes: int, max_images: int, timeout_seconds: float) -> Body:
    """Return the image files of a request, and the parameters beside them.

    Raises Problem: "unsupported-media-type", "too-many-bytes" (as soon as one byte too many has arrived, or before
    if Content-Length tells), "too-many-images", "slow-body", "broken-request" or "invalid-parameter" for an unknown
    field.
    """
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    if content_type == b"multipart/form-data":
        data = await read_bytes(request, max_bytes + ENVELOPE, timeout_seconds)
        body = _from_multipart(data, options.get(b"boundary", b""), max_images)
    elif content_type == b"application/json":
        body = _from_json(await read_bytes(request, largest_body(max_bytes), timeout_seconds))
    elif content_type.startswith(b"image/") or content_type == b"application/octet-stream":
        body = Body([ImageFile("", await read_bytes(request, max_bytes, timeout_seconds))], {})
    else:
        name = content_type.decode("latin-1") or "missing"
        raise Problem("unsupported-media-type", f"the Content-Type is {name}: {HOW}")
    if sum(len(image.data) for image in body.images) > max_bytes:
        raise _too_large(max_bytes)
    if not body.several and not body.images[0].data:
        raise Problem("broken-request", f"the request holds no image: {HOW}")
    return body


async def read_bytes(request: Request, limit: int, timeout_seconds: float) -> bytes:
    """Return the bytes of a body. Raises Problem: "unsupported-media-type", "too-many-bytes" or "slow-body"."""
    coding = request.headers.get("content-encoding", "identity").strip()
    if coding.lower() not in ("", "identity"):
        raise Problem("unsupported-media-type", f"the Content-Encoding is {coding}: send the body as it is")
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
    return Problem("too-many-bytes", f"at most {limit} bytes are accepted: shrink the image, or send fewer at once")


def _from_json(body: bytes) -> Body:
    try:
        value = json.loads(body, object_pairs_hook=_Members)
    except (ValueError, RecursionError) as error:
        raise Problem("broken-request", f"the body is no JSON ({error}): {HOW}") from error
    if not isinstance(value, _Members):
        raise Problem("broken-request", f"the JSON body is no object: {HOW}")
    _check_fields([name for name, _ in value], FIELDS)
    members = dict(value)
    image = members.pop(FIELD)
    if not isinstance(image, str):
        raise Problem("broken-request", f"{FIELD!r} of the JSON body is no text: {HOW}")
    try:
        file = ImageFile("", decode_base64(image))
        return Body([file], {name: _text(v) for name, v in members.items() if v is not None})
    except ValueError as error:
        raise Problem("broken-request", f"{FIELD!r} of the JSON body is no base64: {error}") from error


class _Members(list[tuple[str, Any]]):
    """Names and values of a JSON object: a dictionary would hide a name that is given twice."""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _from_multipart(data: bytes, boundary: bytes, max_images: int) -> Body:
    try:
        parts = read_multipart(data, boundary, max_parts=MAX_PARTS + max_images)
    except ValueError as error:
        raise Problem("broken-request", f"the multipart body is damaged: {error}") from error
    names = [part.name for part in parts]
    several = SEVERAL in names
    _check_fields(names, FORM_FIELDS, several)
    if (number := names.count(SEVERAL)) > max_images:
        raise Problem("too-many-images", f"the request has {number} images, at most {max_images} are accepted")
    for part in parts:
        if part.transfer_encoding not in ("", "binary", "7bit", "8bit"):
            raise Problem(
                "broken-request",
                f"the field {part.name!r} has Content-Transfer-Encoding {part.transfer_encoding}: send it as it is",
            )
    images = [ImageFile(part.file_name, part.content) for part in parts if part.name in (FIELD, SEVERAL)]
    fields = {part.name: part.content for part in parts if part.name not in (FIELD, SEVERAL)}
    return Body(images, {name: content.decode("utf-8", "replace").strip() for name, content in fields.items()}, several)


def _check_fields(names: list[str], known: tuple[str, ...], several: bool = False) -> None:
    """Raises Problem unless there is one image, or several, and nothing unknown or repeated beside."""
    if unknown := [name for name in names if name not in known]:
        raise unknown_fields(unknown, known)
    if several and FIELD in names:
        raise Problem("broken-request", f"the request has fields {FIELD!r} and {SEVERAL!r}: send one kind")
    if not several and FIELD not in names:
        raise Problem("broken-request", f"the request has no field {FIELD!r}: {HOW}")
    for name in FIELDS:
        if (number := names.count(name)) > 1:
            remedy = f"name them {SEVERAL!r} in a form" if name == FIELD else "send one value"
            raise Problem("broken-request", f"the request has {number} fields {name!r}: {remedy}")
