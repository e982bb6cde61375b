"""Labels of DensePose-COCO: annotations of people, and the maps that they are rasterized to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from model.taxonomy import DENSEPOSE_COCO, IGNORE
from training.data.samples import Bool, Float32, UInt8

GRID = 256  # side of a part mask
SURFACE_POINTS = ("dp_I", "dp_U", "dp_V", "dp_x", "dp_y", "dp_vertex")  # most of the file; not used


@dataclass(frozen=True, slots=True)
class DensePosePerson:
    """The annotation of one person, stored compactly: there are 130,000."""

    id: int
    box: Float32  # [4], x, y, width, height
    outline: Any  # polygons as float32 arrays, or COCO's run-length encoding (RLE)
    keypoints: Float32  # [17, 3]
    part_masks: tuple[bytes, ...]  # 14 compressed RLEs, empty if the part is absent; or none at all
    crowd: bool


def drop_surface_points(value: dict[str, Any]) -> dict[str, Any]:
    """Remove the surface points of a JSON object, in place; for `json.load(object_hook=...)`."""
    if "dp_masks" in value:
        for name in SURFACE_POINTS:
            value.pop(name, None)
    return value


def read_person(annotation: Mapping[str, Any]) -> DensePosePerson:
    """Parse an annotation. Raises KeyError, TypeError, AttributeError or ValueError if it is damaged."""
    outline = annotation.get("segmentation") or []
    masks = annotation.get("dp_masks") or []
    if len(masks) not in (0, len(DENSEPOSE_COCO.part_names)):
        raise ValueError(
            f"annotation {annotation['id']} has {len(masks)} part masks, not {len(DENSEPOSE_COCO.part_names)}"
        )
    joints = len(DENSEPOSE_COCO.joint_names)
    return DensePosePerson(
        id=annotation["id"],
        box=np.array(annotation["bbox"], np.float32).reshape(4),
        # COCO's library would turn fewer than three points into a box.
        outline=outline if isinstance(outline, Mapping) else [np.array(r, np.float32) for r in outline if len(r) >= 6],
        keypoints=np.array(annotation.get("keypoints") or [0] * 3 * joints, np.float32).reshape(joints, 3),
        part_masks=tuple(_counts(mask) for mask in masks) if any(masks) else (),
        crowd=bool(annotation.get("iscrowd", 0)),
    )


def _counts(mask: Mapping[str, Any] | Sequence[Any] | str) -> bytes:
    """Return the compressed RLE of a part mask; an absent part is [] or ""."""
    if not isinstance(mask, Mapping):
        return b""
    if list(mask["size"]) != [GRID, GRID]:
        raise ValueError(f"a part mask is {mask['size']}, not {GRID}x{GRID}")
    counts = mask["counts"]
    return counts.encode() if isinstance(counts, str) else rle.frPyObjects(dict(mask), GRID, GRID)["counts"]


def rasterize(
    everybody: Sequence[DensePosePerson], rows: Sequence[DensePosePerson], size: tuple[int, int]
) -> tuple[UInt8, UInt8]:
    """Rasterize maps [H, W] of parts and people.

    `rows` are the people of `everybody` that are no crowd. Raises ValueError if a mask is of another size.
    """
    parts, people = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    for row, person in enumerate(rows, start=1):
        people[_outline(person, size)] = row
    parts[people > 0] = IGNORE
    for row, person in enumerate(rows, start=1):
        if person.part_masks:
            window, labels = _parts(person, size)
            theirs = (labels > 0) & ((people[window] == row) | (people[window] == 0))
            parts[window][theirs], people[window][theirs] = labels[theirs], row
    for person in everybody:
        if person.crowd:
            crowd = _outline(person, size) & (people == 0)
            parts[crowd] = people[crowd] = IGNORE
    return parts, people


def _outline(person: DensePosePerson, size: tuple[int, int]) -> Bool:
    """Decode COCO's segmentation as a mask [H, W]."""
    outline = person.outline
    if not outline:
        return np.zeros(size, bool)
    if isinstance(outline, Mapping):
        compressed = isinstance(outline["counts"], str)
        coded = dict(outline) if compressed else rle.frPyObjects(dict(outline), *size)
    else:
        coded = rle.merge(rle.frPyObjects([ring.tolist() for ring in outline], *size))
    mask: Bool = rle.decode(coded).astype(bool)
    if mask.shape != size:
        raise ValueError(f"the segmentation of annotation {person.id} is {mask.shape}, the image {size}")
    return mask


def _parts(person: DensePosePerson, size: tuple[int, int]) -> tuple[tuple[slice, slice], UInt8]:
    """Return the window of the image that a person's part grid covers, and each pixel's part in the nearest cell."""
    grid = np.zeros((GRID, GRID), np.uint8)
    for part, counts in enumerate(person.part_masks, start=1):
        if counts:
            grid[rle.decode({"size": [GRID, GRID], "counts": counts}) > 0] = part
    x, y, width, height = person.box.tolist()
    rows, row_cells = _cells(y, height, size[0])
    columns, column_cells = _cells(x, width, size[1])
    return (rows, columns), grid[np.ix_(row_cells, column_cells)]


def _cells(start: float, length: float, limit: int) -> tuple[slice, NDArray[np.int64]]:
    """Return the pixels of 0..limit-1 along a side of a box, and the grid cell nearest to each.

    In COCO's boxes a pixel is a square: its center is half a pixel from its corner.
    """
    if length <= 0:
        return slice(0, 0), np.zeros(0, np.int64)
    cells = np.floor((np.arange(limit) + 0.5 - start) * GRID / length).astype(np.int64)
    inside = np.flatnonzero((cells >= 0) & (cells < GRID))
    first, last = (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, 0)
    return slice(first, last), cells[first:last]
