"""COCO exports: panoptic segments that are parts, or instances with polygons or run-length encoding (RLE).

Panoptic: https://cocodataset.org/#format-data, with a `person_id` for each segment, or with people from a second file
of COCO instances or keypoints. COCO does not link parts to people, so one of the two is required.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from training.data.convert.labels import ClassMap, Entry, ImageLabels, Person, Region, read_export
from training.data.convert.masks import coco_mask
from training.data.samples import DatasetError

Record = dict[str, Any]


def read_panoptic(source: Path, names: ClassMap, images: Path | None, people: Path | None) -> list[Entry]:
    """List the images of a panoptic file. Its PNGs lie beside it in the folder of its name, as in COCO."""
    value = _read(source)
    categories = {
        key: str(records[0].get("name", "")) for key, records in _by(source, value["categories"], "id").items()
    }
    segments = _by(source, value["annotations"], "image_id")
    kinds: dict[Any, list[Record]] = {}
    others: dict[Any, list[Record]] = {}
    if people is not None:
        instances = _read(people)
        kinds = _by(people, instances["categories"], "id")
        others = _by(people, instances["annotations"], "image_id")
    # If the background has a category, a pixel without a segment is COCO's void; else it is background.
    void = names.knows_background(list(categories.values()))
    folder = image_folder(source, value["images"], images)

    def read(image: Record) -> ImageLabels:
        labels = ImageLabels(folder / image["file_name"], (image["height"], image["width"]))
        if image["id"] not in segments:
            raise DatasetError("it has no segments; annotate it or remove it from images")
        record = segments[image["id"]][0]
        _add_instances(labels, others.get(image["id"], []), kinds, names, people_only=True)
        ids = _segment_ids(source.with_suffix("") / record["file_name"], labels.size)
        found = {0}
        for segment in record["segments_info"]:
            mask = ids == segment["id"]
            found.add(segment["id"])
            if not mask.any():
                raise DatasetError(f"its segment {segment['id']} has no pixel in {record['file_name']}")
            name = "ignore" if segment.get("iscrowd", 0) else categories[segment["category_id"]]
            labels.regions.append(Region(name, mask, None if name == "ignore" else _person_id(segment)))
        if strange := set(np.unique(ids).tolist()) - found:
            raise DatasetError(f"{record['file_name']} has pixels of segment {min(strange)}, which segments_info lacks")
        if void:
            labels.void = ids == 0
        return labels

    return [_entry(image, read) for image in value["images"]]


def read_instances(source: Path, names: ClassMap, images: Path | None) -> list[Entry]:
    """List the images of a file of COCO instances whose categories are parts and the person."""
    value = _read(source)
    kinds = _by(source, value["categories"], "id")
    annotations = _by(source, value["annotations"], "image_id")
    folder = image_folder(source, value["images"], images)

    def read(image: Record) -> ImageLabels:
        labels = ImageLabels(folder / image["file_name"], (image["height"], image["width"]))
        _add_instances(labels, annotations.get(image["id"], []), kinds, names)
        return labels

    return [_entry(image, read) for image in value["images"]]


def image_folder(source: Path, images: list[Record], named: Path | None) -> Path:
    """Return `named` if given, else the first folder near the file that contains the first image."""
    if named is not None:
        return named
    beside, above = source.parent, source.parent.parent
    for folder in (beside / "images", beside, above / "images", above / source.stem.rpartition("_")[2]):
        if images and (folder / str(images[0].get("file_name", ""))).is_file():
            return folder
    raise DatasetError(f"the images of {source} are not beside it; name their folder with --images")


def _entry(image: Record, read: Callable[[Record], ImageLabels]) -> Entry:
    return Entry(str(image.get("file_name", image.get("id"))), partial(read, image))


def _by(path: Path, records: list[Record], name: str) -> dict[Any, list[Record]]:
    """Group records by the value of a required field."""
    groups: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        if name not in record:
            raise DatasetError(f"{path}: a record lacks {name!r}: {json.dumps(record)[:80]}; export it again")
        groups[record[name]].append(record)
    return dict(groups)


def _add_instances(
    labels: ImageLabels,
    records: list[Record],
    kinds: dict[Any, list[Record]],
    names: ClassMap,
    people_only: bool = False,
) -> None:
    for record in records:
        kind = kinds[record["category_id"]][0]
        mask = coco_mask(record["segmentation"], labels.size) if record.get("segmentation") else None
        if record.get("iscrowd", 0):
            if mask is not None:
                labels.regions.append(Region("ignore", mask))
        elif names.is_person(kind["name"]):
            box = record.get("bbox")
            person = Person(mask, None if box is None else (box[0], box[1], box[0] + box[2], box[1] + box[3]))
            values = iter(record.get("keypoints") or ())
            joints = zip(kind.get("keypoints", ()), zip(values, values, values, strict=True), strict=bool(values))
            person.joints = {name: (x, y, v) for name, (x, y, v) in joints if v > 0}
            labels.people[_person_id(record) or str(record["id"])] = person
        elif not people_only:
            if mask is None:
                raise DatasetError(f"its {kind['name']} {record['id']} has no segmentation; outline it or remove it")
            labels.regions.append(Region(kind["name"], mask, _person_id(record)))


def _person_id(record: Record) -> str | None:
    """Return the person id of a segment or annotation, from the record or its `attributes`."""
    value = record.get("person_id", (record.get("attributes") or {}).get("person_id"))
    return None if value is None else str(value)


def _segment_ids(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read ids [H, W] of a panoptic PNG: R + 256 G + 65536 B."""
    try:
        with Image.open(path) as file:
            colors = np.asarray(file.convert("RGB"), np.uint32)  # [H, W, 3]
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); export it again") from error
    if colors.shape[:2] != size:
        raise DatasetError(f"{path} is {colors.shape[:2]} pixels, the image {size}; export it again")
    return colors @ np.array([1, 256, 65536], np.uint32)


def _read(path: Path) -> Record:
    value: Record = read_export(path)
    try:
        for name in ("images", "annotations", "categories"):
            if not isinstance(value[name], list) or not all(isinstance(record, dict) for record in value[name]):
                raise TypeError(f"{name} is no list of objects")
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{path} is no COCO file ({error}): it needs images, annotations and categories") from error
    return value
