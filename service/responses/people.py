"""Converts the graph's tensors to people in the image's pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from model.id_runs import PERSON_SHIFT, IdRuns
from model.taxonomy import Taxonomy
from service.parsing.parser import Parsed
from service.responses.masks import Mask, encode
from service.responses.polygons import polygons
from service.responses.schemas import MaskFormat, Part, Person, Polygons, Rle

FOUND, PLACED, NOT_FOUND = 2, 1, 0  # COCO's visibility


class Keypoint(NamedTuple):
    """A joint in pixels of the image; score 0: not found."""

    x: float
    y: float
    score: float
    visibility: int  # COCO's v: 1 is a joint that was not found, but placed by the person's center


def people_of(parsed: Parsed, taxonomy: Taxonomy, masks: MaskFormat) -> list[Person]:
    """Convert every slot with a score, by falling score."""
    runs = parsed.id_runs()
    layer_parts, layer_people = _Layer(runs, masks), _Layer(runs.people(), masks)
    output = parsed.output
    people = []
    for slot in np.flatnonzero(output.person_score > 0).tolist():
        id_ = slot + 1
        parts = []
        for category_id, name in enumerate(taxonomy.part_names, start=1):
            part_id = id_ << PERSON_SHIFT | category_id
            mask = layer_parts.masks.get(part_id)
            if mask is None:
                continue
            part = Part(
                category_id=category_id,
                name=name,
                score=round(float(output.part_score[slot, category_id - 1]), 4),
                area=mask.area,
                bbox=mask.box,
                segmentation=layer_parts.segmentation(part_id),
            )
            parts.append(part)
        mask = layer_people.masks.get(id_)
        keypoints = keypoints_image(parsed, slot)
        person = Person(
            id=id_,
            score=round(float(output.person_score[slot]), 4),
            bbox=_keypoint_box(keypoints) if mask is None else mask.box,
            area=0 if mask is None else mask.area,
            keypoints=[v for k in keypoints for v in (round(k.x, 1), round(k.y, 1), k.visibility)],
            keypoint_scores=[round(k.score, 4) for k in keypoints],
            segmentation=None if mask is None else layer_people.segmentation(id_),
            parts=parts,
        )
        people.append(person)
    return people


class _Layer:
    """The masks of some ids, in the form that was asked for."""

    def __init__(self, runs: IdRuns, form: MaskFormat) -> None:
        self.masks: dict[int, Mask] = encode(runs)
        self._size, self._form = runs.size_image, form
        self._painted = runs.painted() if form == "polygon" else None

    def segmentation(self, id_: int) -> Rle | Polygons | None:
        mask = self.masks[id_]
        if self._painted is not None:
            return polygons(self._painted, id_, mask.box)
        return Rle(size=self._size, counts=mask.counts) if self._form == "rle" else None


def keypoints_image(parsed: Parsed, slot: int) -> list[Keypoint]:
    """Return a person's joints in the image, clamped to its pixels; all 0 if not found."""
    height, width = parsed.header.size_image
    placed = np.float32(parsed.placed_score)  # as the graph writes it
    keypoints = []
    for x_canvas, y_canvas, score in parsed.output.keypoints[slot].tolist():
        x, y = parsed.letterbox.to_image(x_canvas, y_canvas)
        visibility = FOUND if score > placed else PLACED
        found = Keypoint(min(max(x, 0.0), width - 1), min(max(y, 0.0), height - 1), score, visibility)
        keypoints.append(found if score > 0 else Keypoint(0, 0, 0, NOT_FOUND))
    return keypoints


def _keypoint_box(keypoints: list[Keypoint]) -> tuple[float, float, float, float]:
    """Return the box around the found keypoints; all 0 if there are none."""
    found = [k for k in keypoints if k.visibility == FOUND]
    if not found:
        return 0, 0, 0, 0
    x, y = min(k.x for k in found), min(k.y for k in found)
    width, height = max(k.x for k in found) - x, max(k.y for k in found) - y
    return round(x, 1), round(y, 1), round(width, 1), round(height, 1)
