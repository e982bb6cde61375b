"""Converts the graph's tensors to people in the image's pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from model.taxonomy import Taxonomy
from service.parsing.id_grid import PERSON_SHIFT, IdGrid
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
    grid = parsed.id_grid()
    grid_people = grid.people()
    part_masks, person_masks = encode(grid), encode(grid_people)
    output = parsed.output
    people = []
    for slot in np.flatnonzero(output.person_score > 0).tolist():
        id_ = slot + 1
        parts = []
        for category_id, name in enumerate(taxonomy.part_names, start=1):
            part_id = id_ << PERSON_SHIFT | category_id
            mask = part_masks.get(part_id)
            if mask is None:
                continue
            part = Part(
                category_id=category_id,
                name=name,
                score=round(float(output.part_score[slot, category_id - 1]), 4),
                area=mask.area,
                bbox=mask.box,
                segmentation=_segmentation(grid, part_id, mask, masks),
            )
            parts.append(part)
        mask = person_masks.get(id_)
        keypoints = keypoints_image(parsed, slot)
        person = Person(
            id=id_,
            score=round(float(output.person_score[slot]), 4),
            bbox=_keypoint_box(keypoints) if mask is None else mask.box,
            area=0 if mask is None else mask.area,
            keypoints=[v for k in keypoints for v in (round(k.x, 1), round(k.y, 1), k.visibility)],
            keypoint_scores=[round(k.score, 4) for k in keypoints],
            segmentation=None if mask is None else _segmentation(grid_people, id_, mask, masks),
            parts=parts,
        )
        people.append(person)
    return people


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


def _segmentation(grid: IdGrid, id_: int, mask: Mask, masks: MaskFormat) -> Rle | Polygons | None:
    if masks == "rle":
        return Rle(size=grid.size_image, counts=mask.counts)
    if masks == "polygon":
        return polygons(grid, id_, mask.box)
    return None
