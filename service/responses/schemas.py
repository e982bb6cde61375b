"""Defines the JSON response of POST /parse, by COCO's conventions.

Boxes are x, y, width, height; coordinates are pixels of the upright image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MaskFormat = Literal["rle", "polygon", "none"]
# COCO's [[x1, y1, x2, y2, ...], ...]: one per component, along pixel borders; slits of no width lead to its holes.
Polygons = list[list[int]]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Rle(_Frozen):
    """COCO's compressed RLE (run-length encoding), as `pycocotools.mask.decode` reads them."""

    size: tuple[int, int] = Field(description="height, width")
    counts: str


class Part(_Frozen):
    """One body part of one person."""

    category_id: int
    name: str
    score: float = Field(description="mean probability of its pixels")
    area: int = Field(description="pixels")
    bbox: tuple[float, float, float, float]
    segmentation: Rle | Polygons | None = Field(description="null with masks=none")


class Person(_Frozen):
    """One person; `id` is the pixel value in the layer `people`."""

    id: int
    score: float
    bbox: tuple[float, float, float, float] = Field(description="of the pixels; without any, of the keypoints")
    area: int = Field(description="pixels")
    keypoints: list[float] = Field(
        description="x, y, v for each joint; v is 2 for found, 1 for placed by the person's center, 0 for neither"
    )
    keypoint_scores: list[float]
    segmentation: Rle | Polygons | None = Field(description="null with masks=none, or without a pixel")
    parts: list[Part]


class ModelInfo(_Frozen):
    """The model and backend that computed the response."""

    name: str
    version: str
    backend: str
    precision: str
    detail: str
    canvas: tuple[int, int] = Field(description="height, width that the image was fitted into")


class ImageSize(_Frozen):
    """Size of an upright image."""

    width: int
    height: int


class ImageInfo(ImageSize):
    """The upright image."""

    exif_transposed: bool


class UntimedResponse(_Frozen):
    """The response without its times, which are known only when the rest is encoded."""

    request_id: str
    model: ModelInfo
    image: ImageInfo
    people: Sequence[Person]
    truncated: bool = Field(description="people are missing or may be: a limit was reached, which a warning names")
    warnings: list[str]


class ParseResponse(UntimedResponse):
    """The response of POST /parse."""

    timings_ms: dict[str, float] = Field(description="decode, queue, infer, encode, and total since the body arrived")


class TrackedPerson(Person):
    """A person of a frame of a stream."""

    track_id: int | None = Field(
        description="1, 2, ... in order of appearance, the same from frame to frame; null before a score of 0.3"
    )


class UntimedStreamResponse(UntimedResponse):
    """What WS /stream sends for a frame, without its times."""

    frame: int = Field(description="which of the frames received: 1, 2, ...")
    dropped: int = Field(description="frames before it, since the last answer, that were not parsed")
    people: Sequence[TrackedPerson]


class StreamResponse(UntimedStreamResponse):
    """What WS /stream sends for a frame."""

    timings_ms: dict[str, float] = Field(description="decode, queue, infer, encode, and total since the frame's turn")
