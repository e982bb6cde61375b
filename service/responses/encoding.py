"""Builds the response and encodes it in the form that the client accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from PIL.Image import Image

from service.images.decoding import decode
from service.parsing.parser import ImageParser, Parsed
from service.responses.coco_dataset import coco_dataset, coco_panoptic
from service.responses.cutout import cutout
from service.responses.label_maps import encoded, panoptic_png, parts_png, people_png
from service.responses.label_studio import label_studio_task
from service.responses.overlay import overlay
from service.responses.people import people_of
from service.responses.schemas import ImageInfo, MaskFormat, ModelInfo, UntimedResponse

MediaType = Literal["application/json", "image/png", "image/jpeg", "image/webp"]
Layer = Literal["parts", "people", "panoptic", "overlay", "cutout"]
Format = Literal["coco", "coco_panoptic", "labelstudio"]

OVERLAY_SIDE = 1920  # the overlay's longer side is at most this


@dataclass(frozen=True)
class Form:
    """The requested form of a response; `layer` is None for JSON, `format` for our own JSON."""

    media_type: MediaType
    layer: Layer | None
    masks: MaskFormat
    format: Format | None = None
    person: int | None = None  # of the layer "cutout"; None: everybody


def encode_response(
    parser: ImageParser, parsed: Parsed, data: bytes, form: Form, request_id: str, file_name: str = ""
) -> bytes:
    """Encode the response in the requested form; our own JSON lacks the times, which `with_fields` adds.

    `data` is the image file that overlay and cut-out are made of, `file_name` its name in other tools' formats.
    Raises Problem "invalid-parameter" if the person of a cut-out was not found.
    """
    taxonomy = parser.manifest.taxonomy
    if form.layer is None:
        if form.format is not None:
            return _other_format(parser, parsed, form.format, form.masks, file_name)
        return build_response(parser, parsed, form.masks, request_id).model_dump_json().encode()
    if form.layer == "parts":
        return parts_png(parsed.id_runs(), taxonomy)
    if form.layer == "people":
        return people_png(parsed.id_runs())
    if form.layer == "panoptic":
        return panoptic_png(parsed.id_runs())
    if form.layer == "cutout":
        image = decode(data, parsed.header, at_least=parsed.header.size_image).image
        picture = cutout(image, parsed, form.person)
        return encoded(picture, "image/webp" if form.media_type == "image/webp" else "image/png", webp_quality=90)
    return encoded(overlay_of(parser, parsed, data), "image/webp" if form.media_type == "image/webp" else "image/jpeg")


def _other_format(parser: ImageParser, parsed: Parsed, format_: Format, masks: MaskFormat, file_name: str) -> bytes:
    taxonomy, manifest = parser.manifest.taxonomy, parser.manifest
    model = {"name": manifest.name, "version": manifest.version}
    response = build_response(parser, parsed, "none" if format_ == "coco_panoptic" else masks, "").model_dump()
    response["file_name"] = file_name or f"image.{parsed.header.format.lower()}"
    document: dict[str, Any]
    if format_ == "coco":
        document = coco_dataset([response], taxonomy, model)
    elif format_ == "coco_panoptic":
        document = coco_panoptic(response, panoptic_png(parsed.id_runs()), taxonomy, model)
    else:
        document = label_studio_task(response, parsed.id_runs().painted(), taxonomy)
    return json.dumps(document).encode()


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
