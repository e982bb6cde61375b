"""Describes POST /parse for OpenAPI: bodies, responses, and examples, real responses of the default weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from service.http.parameters import Parameters
from service.http.problem_response import MEDIA_TYPE
from service.http.request_body import FIELD, SEVERAL
from service.problems import TITLES
from service.responses.schemas import ImageSize, ParseResponse, Polygons, Rle

EXAMPLES: dict[str, Any] = json.loads((Path(__file__).parent / "examples.json").read_text(encoding="utf-8"))


class ProblemBody(BaseModel):
    """A problem after RFC 9457; clients may match `type`."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[dict[str, str]]


class Result(BaseModel):
    """What became of one of several images: a response, in the format that was asked for, or a problem."""

    index: int
    file_name: str
    status: int
    response: dict[str, Any] | None = None
    problem: ProblemBody | None = None


class Results(BaseModel):
    """The response to several images, in their order."""

    request_id: str
    results: list[Result]


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class CocoImage(ImageSize):
    """An image of a COCO data set."""

    id: int
    file_name: str


class CocoAnnotation(_Open):
    """A person, with keypoints, or a part, with the annotation of its person as `person_id`."""

    id: int
    image_id: int
    category_id: int
    score: float
    bbox: tuple[float, float, float, float]
    area: int
    segmentation: Rle | Polygons
    iscrowd: int


class Category(_Open):
    """A category: 1 is person, 1 + p is part p."""

    id: int
    name: str
    supercategory: str


class _Dataset(BaseModel):
    info: dict[str, str]
    model: dict[str, str]
    images: list[CocoImage]
    categories: list[Category]


class CocoDataset(_Dataset):
    """format=coco."""

    annotations: list[CocoAnnotation]


class Segment(BaseModel):
    """One part of one person; `id` is R + 256 G of its pixels in `png`."""

    id: int
    category_id: int
    area: int
    bbox: tuple[float, float, float, float]
    iscrowd: int
    score: float
    person_id: int


class PanopticAnnotation(BaseModel):
    """The segments of an image; `png` is the file of their ids in base64, to be stored as `file_name`."""

    image_id: int
    file_name: str
    segments_info: list[Segment]
    png: str


class CocoPanoptic(_Dataset):
    """format=coco_panoptic."""

    annotations: list[PanopticAnnotation]


class Prediction(BaseModel):
    """Regions: rectangles of people, and their parts and joints as children."""

    model_version: str
    score: float
    result: list[dict[str, Any]]


class LabelStudioTask(BaseModel):
    """format=labelstudio; the labeling interface stands in /model."""

    data: dict[str, str]
    predictions: list[Prediction]


BINARY, BASE64 = {"type": "string", "format": "binary"}, {"type": "string", "format": "byte"}
FIELDS = Parameters.model_json_schema()["properties"]
BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {FIELD: BINARY, SEVERAL: {"type": "array", "items": BINARY}, **FIELDS},
                "oneOf": [{"required": [FIELD]}, {"required": [SEVERAL]}],
            }
        },
        "image/*": {"schema": BINARY},
        "application/json": {
            "schema": {"type": "object", "properties": {FIELD: BASE64, **FIELDS}, "required": [FIELD]}
        },
    },
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": ParseResponse | CocoDataset | CocoPanoptic | LabelStudioTask | Results,
        "content": {
            "application/json": {"examples": EXAMPLES["parse"]},
            **{media_type: {"schema": BINARY} for media_type in ("image/png", "image/jpeg", "image/webp")},
        },
    },
    **{
        status: {
            "description": "; ".join(title for number, title in TITLES.values() if number == status),
            "content": {MEDIA_TYPE: {"schema": ProblemBody.model_json_schema()}},
        }
        for status, _ in TITLES.values()
    },
}
RESPONSES[422]["content"][MEDIA_TYPE]["examples"] = EXAMPLES["problem"]
