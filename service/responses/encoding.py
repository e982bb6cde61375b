"""Builds the response and encodes it in the form that the client accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from PIL.Image import Image

from service.images.decoding import decode
from service.parsing.parser import ImageParser, Parsed
from service.responses.label_maps import encoded, panoptic_png, parts_png, people_png
from service.responses.overlay import overlay
from service.responses.people import people_of
from service.responses.schemas import ImageInfo, MaskFormat, ModelInfo, UntimedResponse

MediaType = Literal["application/json", "image/png", "image/jpeg", "image/webp"]
Layer = Literal["parts", "people", "panoptic", "overlay"]

OVERLAY_SIDE = 1920  # the overlay's longer side is at most this


@dataclass(frozen=True)
class Form:
    """The requested form of a response; `layer` is None for JSON."""

    media_type: MediaType
    layer: Layer | None
    masks: MaskFormat


def encode_response(parser: ImageParser, parsed: Parsed, data: bytes, form: Form, request_id: str) -> bytes:
    """Encode the response in the requested form; JSON lacks the times, which `with_fields` adds.

    `data` is the image file that the overlay is drawn on.
    """
    taxonomy = parser.manifest.taxonomy
    if form.layer is None:
        return build_response(parser, parsed, form.masks, request_id).model_dump_json().encode()
    if form.layer == "parts":
        return parts_png(parsed.id_runs(), taxonomy)
    if form.layer == "people":
        return people_png(parsed.id_runs())
    if form.layer == "panoptic":
        return panoptic_png(parsed.id_runs())
    return encoded(overlay_of(parser, parsed, data), "image/webp" if form.media_type == "image/webp" else "image/jpeg")


def build_response(parser: ImageParser, parsed: Parsed, masks: MaskFormat, request_id: str) -> UntimedResponse:
    """Build the JSON response, without its times."""
    header = parsed.header
    height, width = header.size_image
    people = people_of(parsed, parser.manifest.taxonomy, masks)
    missing = _missing_people(parsed.output.overflow)
    return UntimedResponse(
        request_id=request_id,
        model=ModelInfo(
            name=parser.manifest.name,
            version=parser.manifest.version,
            backend=parser.backend.name,
            precision=parser.backend.precision,
            detail=parsed.detail,
            canvas=parsed.size_canvas,
        ),
        image=ImageInfo(width=width, height=height, exif_transposed=header.orientation != 1),
        people=people,
        truncated=bool(missing),
        warnings=[*parsed.warnings, *missing],
    )


def _missing_people(overflow: int) -> list[str]:
    """Return why the response lacks people: slots, or candidates of a joint, ran out."""
    if not overflow:
        return []
    return [
        f"about {overflow} more people are seen than these weights can tell apart: some are missing, or joined into "
        "one; send the image in pieces with fewer people"
    ]


def with_fields(body: bytes, fields: Mapping[str, Any]) -> bytes:
    """Append fields to an encoded JSON response: its times are known only when the rest is written."""
    return body[:-1] + b"," + json.dumps(fields).encode()[1:]


def overlay_of(parser: ImageParser, parsed: Parsed, data: bytes) -> Image:
    """Draw the overlay on the image, downscaled to at most OVERLAY_SIDE."""
    height, width = parsed.header.size_image
    scale = min(1.0, OVERLAY_SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    image = decode(data, parsed.header, at_least=size).image.resize((size[1], size[0]))
    return overlay(image, parsed, parser.manifest.taxonomy)
