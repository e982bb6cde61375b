"""Writes a response as a task of Label Studio with a prediction to correct: https://labelstud.io/guide/predictions.

A person is a rectangle; parts and joints are children of its region (`parentID`), which is how the training's converter
reads them back. Positions are percent of the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from model.colors import person_color
from model.id_runs import PERSON_SHIFT, Ids
from model.taxonomy import Taxonomy
from service.responses.simplify import simplified

Record = dict[str, Any]

PERSON, OCCLUDED = "person", "occluded"
TOLERANCE = 1.5  # pixels that a polygon may lie beside its mask: a person has 170 points instead of 2,300 at 1080p
POINT_WIDTH = 0.5  # percent, of a joint's dot
CHANNELS = 4  # a brush stroke is an RGBA picture
RUN_BITS = (3, 4, 8, 16)  # widths of run lengths
LONGEST_RUN = 1 << RUN_BITS[-1]


def labeling_config(taxonomy: Taxonomy) -> str:
    """Return the labeling interface that `label_studio_task` is made for: paste it under Labeling Interface, Code."""

    def labels(tag: str, name: str, values: Mapping[str, str | None]) -> list[str]:
        items = [
            f"    <Label value={quoteattr(value)}{'' if color is None else f' background={quoteattr(color)}'}/>"
            for value, color in values.items()
        ]
        return [f'  <{tag} name="{name}" toName="image">', *items, f"  </{tag}>"]

    parts = dict(zip(taxonomy.part_names, map(_hex, taxonomy.palette), strict=True))
    lines = [
        "<View>",
        '  <Image name="image" value="$image" zoom="true"/>',
        *labels("RectangleLabels", "people", {PERSON: _hex(person_color(1))}),
        *labels("BrushLabels", "brush", parts),
        *labels("PolygonLabels", "polygon", parts),
        *labels("KeyPointLabels", "joints", dict.fromkeys(taxonomy.joint_names)),
        '  <Choices name="visibility" toName="image" perRegion="true" whenTagName="joints">',
        f'    <Choice value="{OCCLUDED}"/>',
        "  </Choices>",
        "</View>",
    ]
    return "\n".join(lines)


def label_studio_task(response: Mapping[str, Any], ids: Ids, taxonomy: Taxonomy) -> Record:
    """Return the task; `response` has a `file_name`, which becomes the task's image.

    Parts are brush strokes where the response has RLE, polygons of few points where it has polygons, and left out
    where it has neither. `ids` [height, width] are those of `IdRuns.painted`. A joint with v = 1 is marked as occluded.
    """
    model, size = response["model"], (response["image"]["height"], response["image"]["width"])
    results: list[Record] = []
    for person in response["people"]:
        region = f"p{person['id']}"
        results.append(_region(region, "people", "rectanglelabels", PERSON, size, _rectangle(person["bbox"], size)))
        results[-1]["score"] = person["score"]
        for part in person["parts"]:
            for tag, kind, value in _masks(part, person["id"], ids):
                id_ = f"{region}-part{part['category_id']}-{len(results)}"
                results.append(_region(id_, tag, kind, part["name"], size, value, region) | {"score": part["score"]})
        for name, x, y, v in zip(taxonomy.joint_names, *(person["keypoints"][i::3] for i in range(3)), strict=True):
            if not v:
                continue
            point = {"x": (x + 0.5) / size[1] * 100, "y": (y + 0.5) / size[0] * 100, "width": POINT_WIDTH}
            joint = _region(f"{region}-{name}", "joints", "keypointlabels", name, size, point, region)
            results.append(joint)
            if v == 1:
                said = {"from_name": "visibility", "type": "choices", "value": {**point, "choices": [OCCLUDED]}}
                results.append(joint | said)
    scores = [person["score"] for person in response["people"]]
    prediction = {
        "model_version": f"{model['name']} {model['version']}",
        "score": sum(scores) / len(scores) if scores else 0.0,
        "result": results,
    }
    return {"data": {"image": response["file_name"]}, "predictions": [prediction]}


def brush_rle(mask: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> list[int]:
    """Return Label Studio's run lengths of a mask [h, w] whose upper left corner lies at (x, y) of an image.

    A stream of bits, most significant first: number of values, width of a value, four widths of run lengths; then a
    packet a run: 1, which of the widths, the length minus one, the value. Source: thi.ng/rle-pack, which Label Studio
    uses; it runs along rows through four channels that are alike.
    """
    (x, y), (height, width) = corner, size
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (row, first), (_, end) = np.nonzero(edges > 0), np.nonzero(edges < 0)
    offset = (y + row) * width + x
    borders = np.concatenate([[0], np.stack([offset + first, offset + end], axis=1).ravel(), [height * width]])
    lengths = np.diff(borders) * CHANNELS
    values = np.tile([0, 255], len(lengths) // 2 + 1)[: len(lengths)]
    # A longer run is written as several; one of no length not at all.
    pieces = -(-lengths // LONGEST_RUN)
    values = np.repeat(values, pieces)
    runs = np.full(int(pieces.sum()), LONGEST_RUN, dtype=np.int64)
    runs[np.cumsum(pieces)[pieces > 0] - 1] = ((lengths - 1) % LONGEST_RUN + 1)[pieces > 0]

    which = np.searchsorted(1 << np.array(RUN_BITS), runs)
    bits = np.array(RUN_BITS)[which]
    packets = ((4 | which) << bits | runs - 1) << 8 | values
    header = [height * width * CHANNELS, 7, *(b - 1 for b in RUN_BITS)]
    widths = np.concatenate([[32, 5, 4, 4, 4, 4], bits + 11])
    packed: list[int] = _packed(np.concatenate([header, packets]), widths).tolist()
    return packed


def _packed(numbers: NDArray[np.int64], widths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Write each number in its own width of bits, most significant first."""
    ends = np.cumsum(widths)
    shifts = np.repeat(ends, widths) - 1 - np.arange(int(ends[-1]))
    return np.packbits((np.repeat(numbers, widths) >> shifts & 1).astype(np.uint8))


def _masks(part: Mapping[str, Any], person_id: int, ids: Ids) -> list[tuple[str, str, Record]]:
    """Return tag, type and value of a part's regions: one brush stroke, or a polygon for each component."""
    shape = part["segmentation"]
    if shape is None:
        return []
    if isinstance(shape, list):
        height, width = ids.shape
        return [
            (
                "polygon",
                "polygonlabels",
                {"points": [[px / width * 100, py / height * 100] for px, py in zip(p[::2], p[1::2], strict=True)],
                 "closed": True},
            )
            for p in (simplified(polygon, TOLERANCE) for polygon in shape)
        ]  # fmt: skip
    x, y, width, height = (int(v) for v in part["bbox"])
    mask = ids[y : y + height, x : x + width] == part["category_id"] | person_id << PERSON_SHIFT
    return [("brush", "brushlabels", {"format": "rle", "rle": brush_rle(mask, (x, y), ids.shape)})]


def _region(
    id_: str, tag: str, kind: str, label: str, size: tuple[int, int], value: Record, parent: str | None = None
) -> Record:
    record: Record = {
        "id": id_,
        "from_name": tag,
        "to_name": "image",
        "type": kind,
        "original_height": size[0],
        "original_width": size[1],
        "image_rotation": 0,
        "value": {**value, kind: [label]},
    }
    return record if parent is None else record | {"parentID": parent}


def _rectangle(bbox: tuple[float, float, float, float], size: tuple[int, int]) -> Record:
    x, y, width, height = (v / size[1 - i % 2] * 100 for i, v in enumerate(bbox))
    return {"x": x, "y": y, "width": width, "height": height, "rotation": 0}


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
