"""Label Studio's JSON export (not JSON-MIN): https://labelstud.io/guide/task_format.

A person is a region labelled "person", drawn as rectangle, brush or polygon. Parts and joints belong to the region
under which they were dragged in the panel of regions, exported as `parentID`. Label Studio groups joints the same way
for its COCO and YOLO exports.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from training.data.convert.labels import ClassMap, Entry, ImageLabels, Person, Region, read_export
from training.data.convert.masks import brush_mask, polygon_mask
from training.data.convert.writer import upright_size
from training.data.samples import Bool, DatasetError

Record = dict[str, Any]

UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # Label Studio's prefix of uploaded files
OCCLUDED = "occluded"  # a choice for the region of a joint


def read_label_studio(source: Path, names: ClassMap, images: Path | None) -> list[Entry]:
    """List the tasks of an export."""
    tasks = read_export(source)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "annotations" in task for task in tasks):
        raise DatasetError(f"{source} is no list of tasks with annotations; export as JSON, not as JSON-MIN")
    folder = images or (source.parent / "images" if (source.parent / "images").is_dir() else source.parent)
    return [Entry(f"task {task.get('id')}", partial(_read_task, task, names, folder)) for task in tasks]


def _read_task(task: Record, names: ClassMap, folder: Path) -> ImageLabels:
    """Read a task's last annotation that was not cancelled, or the last that is marked as ground truth."""
    done = [annotation for annotation in task["annotations"] if not annotation.get("was_cancelled")]
    if not done:
        raise DatasetError("it has no annotation; submit one, or export annotated tasks only")
    results = [annotation for annotation in done if annotation.get("ground_truth")] or done
    records: list[Record] = results[-1]["result"]
    image = _image_file(task, folder)
    sizes = {(record["original_height"], record["original_width"]) for record in records if "original_height" in record}
    if len(sizes) > 1:
        raise DatasetError(f"its regions are for images of {len(sizes)} sizes; label it again")
    labels = ImageLabels(image, sizes.pop() if sizes else upright_size(image))  # without regions it shows nobody
    regions = {record["id"]: record for record in records if _label(record) is not None}
    choices = [(record.get("id"), record.get("value", {}).get("choices", [])) for record in records]
    hidden = {number for number, said in choices if OCCLUDED in [str(choice).casefold() for choice in said]}
    for number, record in regions.items():
        parent = record.get("parentID") or None
        if parent is not None and (parent not in regions or not names.is_person(str(_label(regions[parent])))):
            raise DatasetError(f"its {_label(record)} {number} was dragged under {parent}, which is no person; move it")
        _add(labels, record, parent, names, number in hidden)
    return labels


def _image_file(task: Record, folder: Path) -> Path:
    """Find a task's image file by its name: exports contain addresses on the server."""
    data = task["data"]
    address = data.get("image") or next((value for value in data.values() if isinstance(value, str)), "")
    parts = urlsplit(address)
    path = PurePosixPath(parse_qs(parts.query).get("d", [unquote(parts.path)])[0].lstrip("/"))
    candidates = [folder / path, folder / path.name, folder / UPLOAD_PREFIX.sub("", path.name)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise DatasetError(f"its image {path.name!r} is not in {folder}; put it there, or name its folder with --images")


def _label(record: Record) -> str | None:
    """Return the label of a region; None for results that describe another region."""
    said = record.get("value", {}).get(record["type"]) if record["type"].endswith("labels") else None
    if said is None:
        return None
    if len(said) != 1:
        raise DatasetError(f"its region {record['id']} has the labels {said}; leave one")
    return str(said[0])


def _add(labels: ImageLabels, record: Record, parent: str | None, names: ClassMap, hidden: bool) -> None:
    """Add a region: a person, a part or a joint."""
    name, value, (height, width) = str(_label(record)), record["value"], labels.size
    if record.get("image_rotation"):
        raise DatasetError(f"its {name} {record['id']} was drawn on a turned image; turn it back in Label Studio")
    if "x" in value and not {"height", "radiusX", "points"} & value.keys():  # a joint
        joints = labels.people.setdefault(parent, Person()).joints if parent is not None else labels.joints
        if name in joints:
            raise DatasetError(f"one person has two {name}; drag each under its person in the panel of regions")
        # Percent of the image from its corner; the center of a pixel is an integer.
        joints[name] = value["x"] / 100 * width - 0.5, value["y"] / 100 * height - 0.5, 1 if hidden else 2
        return
    mask, box = _shape(record, labels.size)
    if names.is_person(name):
        person = labels.people.setdefault(record["id"], Person())
        person.mask, person.box = mask, box
    elif mask is None:
        raise DatasetError(f"its {name} {record['id']} is a rectangle; paint or outline parts")
    else:
        labels.regions.append(Region(name, mask, parent))


def _shape(record: Record, size: tuple[int, int]) -> tuple[Bool | None, tuple[float, float, float, float] | None]:
    """Return the mask [H, W] or the box of a region; positions are percent of the image."""
    value, (height, width) = record["value"], size
    if "rle" in value:
        return brush_mask(value["rle"], size), None
    if "points" in value:
        points = [[v for x, y in value["points"] for v in (x / 100 * width, y / 100 * height)]]
        return polygon_mask(points, size), None
    if "height" in value:
        if value.get("rotation"):
            raise DatasetError(f"its rectangle {record['id']} is turned; draw it upright")
        x0, y0 = value["x"] / 100 * width, value["y"] / 100 * height
        return None, (x0, y0, x0 + value["width"] / 100 * width, y0 + value["height"] / 100 * height)
    raise DatasetError(f"its region {record['id']} is of {record['type']}; use brush, polygon, rectangle or keypoint")
