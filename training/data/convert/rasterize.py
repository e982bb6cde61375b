"""Rasterize the exported labels of an image to the maps and people of a folder."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from model.taxonomy import BACKGROUND, IGNORE, Taxonomy
from training.data.convert.labels import ClassMap, ImageLabels, Joint, Person, Region
from training.data.datasets.folder_records import GROUND_TRUTH
from training.data.samples import Bool, DatasetError, Float32, UInt8, mask_boxes

JOINT_MARGIN = 0.1  # of a box around joints, relative to its larger side; for people without mask and box
MOST = 0.5  # a region belongs to the person who contains more than this share of it

Box = tuple[float, float, float, float]  # x0, y0, x1, y1; the end is exclusive


class RasterizedLabels(NamedTuple):
    """Label maps of an image and the COCO records of its people, in the order of their indices."""

    parts: UInt8  # [H, W]
    people: UInt8  # [H, W]
    records: list[dict[str, Any]]


def rasterize(labels: ImageLabels, names: ClassMap, taxonomy: Taxonomy, one_person: bool = False) -> RasterizedLabels:
    """Draw the masks of people, then parts over them, and number the people 1..n.

    A part without a person goes to the person whose mask (box, without a mask) contains more than half of it; if there
    is none, its pixels are unknown. If an image names no person at all, `one_person` gives all parts to one person.

    Raises DatasetError if parts or joints cannot be assigned to a person, or a person has neither pixels, box nor
    joints.
    """
    parts, owners = np.zeros(labels.size, np.uint8), np.zeros(labels.size, np.uint8)
    if labels.void is not None:
        parts[labels.void] = owners[labels.void] = IGNORE
    people, regions = _people(labels, names), _regions(labels, names)
    own = [region.mask for region, part in regions if part not in (BACKGROUND, IGNORE)]
    if one_person and not people and (own or labels.joints):
        people["1"] = Person(mask=np.any(own, axis=0) if own else None)
    if own and not people:
        raise DatasetError("its parts name nobody; group them by person (docs/own-data.md), or add --one-person")
    if labels.joints and len(people) != 1:
        raise DatasetError(f"{', '.join(labels.joints)} name none of {len(people)} people; group them by person")
    if len(people) >= IGNORE:
        raise DatasetError(f"it has {len(people)} people; a map has room for {IGNORE - 1}")

    rows = {key: row for row, key in enumerate(people, start=1)}
    for key, person in people.items():
        if person.mask is not None:
            parts[person.mask], owners[person.mask] = IGNORE, rows[key]
    for region, part in regions:
        owner = _owner(region, part, people)
        if part == BACKGROUND:
            parts[region.mask] = owners[region.mask] = BACKGROUND
        elif owner is None:
            parts[region.mask] = IGNORE
            owners[region.mask & (owners == BACKGROUND)] = IGNORE
        else:
            parts[region.mask], owners[region.mask] = part, rows[owner]

    boxes = mask_boxes(owners, len(people))
    boxes[:, 2:] += 1
    areas = np.bincount(owners.ravel(), minlength=256)
    records = []
    for key, row in rows.items():
        person, area = people[key], int(areas[row])
        keypoints = _keypoints(person.joints | labels.joints, names, taxonomy)
        box: Box = tuple(boxes[row - 1].tolist()) if area else person.box or _box_of_joints(key, keypoints)
        if not area:
            _forget(parts, owners, box)
        records.append(person_record(row, area, box, keypoints))
    return RasterizedLabels(parts, owners, records)


def _people(labels: ImageLabels, names: ClassMap) -> dict[str, Person]:
    """Return all people that the image or a region names, with the masks of regions that are whole people."""
    people = {key: Person(person.mask, person.box, person.joints) for key, person in labels.people.items()}
    for region in labels.regions:
        if region.person is not None:
            person = people.setdefault(region.person, Person())
            if names.is_person(region.name):
                person.mask = region.mask if person.mask is None else person.mask | region.mask
    return people


def _regions(labels: ImageLabels, names: ClassMap) -> list[tuple[Region, int]]:
    """Return regions and their part ids, without regions that are whole people."""
    regions = []
    for region in labels.regions:
        if not names.is_person(region.name):
            regions.append((region, names.part(region.name)))
        elif region.person is None:
            raise DatasetError(f"its {region.name} is nobody in particular; give it a person, or map it to ignore")
    return regions


def _owner(region: Region, part: int, people: dict[str, Person]) -> str | None:
    """Return the key of the person a region belongs to. An ignored region has one only if it names it."""
    if region.person is not None or part == IGNORE:
        return region.person
    owners = [key for key, person in people.items() if _share(region.mask, person) > MOST]
    if len(owners) > 1:
        raise DatasetError(f"its {region.name} lies in {len(owners)} people; say whose it is (docs/own-data.md)")
    return owners[0] if owners else None


def _share(mask: Bool, person: Person) -> float:
    """Return the fraction of a region inside a person's mask, or box."""
    if person.mask is not None:
        inside = int((mask & person.mask).sum())
    elif person.box is not None:
        x0, y0, x1, y1 = (max(round(v), 0) for v in person.box)
        inside = int(mask[y0:y1, x0:x1].sum())
    else:
        return 0.0
    return inside / max(int(mask.sum()), 1)


def _keypoints(joints: dict[str, Joint], names: ClassMap, taxonomy: Taxonomy) -> Float32:
    """Return keypoints [K, 3]; zero if a joint is not labelled."""
    keypoints = np.zeros((len(taxonomy.joint_names), 3), np.float32)
    for name, joint in joints.items():
        if (k := names.joint(name)) is not None:
            keypoints[k] = joint
    return keypoints


def _box_of_joints(key: str, keypoints: Float32) -> Box:
    points = keypoints[keypoints[:, 2] > 0, :2]  # [m, 2]
    if not len(points):
        raise DatasetError(f"its person {key} has no visible part, no box and no joint; label one or remove the person")
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    margin = max(x1 - x0, y1 - y0, 1.0) * JOINT_MARGIN
    return x0 - margin, y0 - margin, x1 + 1 + margin, y1 + 1 + margin


def _forget(parts: UInt8, owners: UInt8, box: Box) -> None:
    """Set background pixels in the box of a person without pixels to unknown."""
    x0, y0, x1, y1 = (max(round(v), 0) for v in box)
    area = slice(y0, y1), slice(x0, x1)
    nobody = owners[area] == BACKGROUND
    parts[area][nobody] = owners[area][nobody] = IGNORE


def person_record(row: int, area: int, box: Box, keypoints: Float32, labelled_by: str = GROUND_TRUTH) -> dict[str, Any]:
    """Return the COCO record of a person of `area` pixels; the end of `box` is exclusive."""
    x0, y0, x1, y1 = box
    return {
        "person_index": row,
        "category_id": 1,
        "iscrowd": 0,
        "area": area,
        "bbox": [round(v, 2) for v in (x0, y0, x1 - x0, y1 - y0)],
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        "keypoints": [round(v, 2) for v in keypoints.ravel().tolist()],
        "keypoints_source": labelled_by,
        "mask_source": labelled_by if area else "none",
    }
