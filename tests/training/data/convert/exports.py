"""Drawn figures as annotation tools export them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from model.taxonomy import Taxonomy
from training.data.samples import Bool, Sample

Record = dict[str, Any]


def write_panoptic(root: Path, samples: Sequence[Sample], taxonomy: Taxonomy, grouped: bool = True) -> Path:
    """annotations/panoptic_own.json with its PNGs, own/ with the images; `grouped` gives segments a `person_id`."""
    folder = root / "annotations/panoptic_own"
    folder.mkdir(parents=True)
    (root / "own").mkdir()
    images, annotations = [], []
    for number, sample in enumerate(samples, start=1):
        Image.fromarray(sample.image).save(root / f"own/{sample.key}.png")
        images.append(_image(number, sample))
        ids = np.zeros(sample.size, np.uint32)
        segments = []
        for person in range(1, len(sample.keypoints) + 1):
            for part in range(1, len(taxonomy.part_names) + 1):
                mask = (sample.parts == part) & (sample.people == person)
                if mask.any():
                    segment = 70_000 * person + 300 * part + 1  # all three channels are used
                    ids[mask] = segment
                    segments.append({"id": segment, "category_id": part + 10, "iscrowd": 0, "area": int(mask.sum())})
                    if grouped:
                        segments[-1]["person_id"] = person
        colors = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
        Image.fromarray(colors).save(folder / f"{sample.key}.png")
        annotations.append({"image_id": number, "file_name": f"{sample.key}.png", "segments_info": segments})
    categories = [{"id": i, "name": name, "isthing": 1} for i, name in enumerate(taxonomy.part_names, start=11)]
    return _write(root / "annotations/panoptic_own.json", images, annotations, categories)


def write_people(root: Path, samples: Sequence[Sample], taxonomy: Taxonomy) -> Path:
    """annotations/person_keypoints_own.json: whole people as compressed RLE, with joints."""
    images = [_image(number, sample) for number, sample in enumerate(samples, start=1)]
    people = [
        _person(100 * number + row, number, row, sample)
        for number, sample in enumerate(samples, start=1)
        for row in range(len(sample.keypoints))
    ]
    categories = [{"id": 1, "name": "person", "keypoints": list(taxonomy.joint_names)}]
    return _write(root / "annotations/person_keypoints_own.json", images, people, categories)


def write_instances(root: Path, samples: Sequence[Sample], taxonomy: Taxonomy) -> Path:
    """instances.json beside images/: people as in `write_people`, parts as uncompressed RLE."""
    (root / "images").mkdir(parents=True)
    images, annotations = [], []
    for number, sample in enumerate(samples, start=1):
        Image.fromarray(sample.image).save(root / f"images/{sample.key}.png")
        images.append(_image(number, sample))
        for row in range(len(sample.keypoints)):
            annotations.append(_person(len(annotations), number, row, sample))
            for part in range(1, len(taxonomy.part_names) + 1):
                mask = (sample.parts == part) & (sample.people == row + 1)
                if mask.any():
                    annotations.append(
                        {
                            "id": len(annotations), "image_id": number, "category_id": part + 10, "iscrowd": 0,
                            "segmentation": {"size": list(sample.size), "counts": run_lengths(mask)},
                        }
                    )  # fmt: skip
    categories: list[Record] = [{"id": 1, "name": "person", "keypoints": list(taxonomy.joint_names)}]
    categories += [{"id": i, "name": name} for i, name in enumerate(taxonomy.part_names, start=11)]
    return _write(root / "instances.json", images, annotations, categories)


def write_label_studio(root: Path, samples: Sequence[Sample], taxonomy: Taxonomy) -> Path:
    """export.json beside images/: people as rectangles, parts as brush strokes and joints dragged under them."""
    (root / "images").mkdir(parents=True)
    tasks = []
    for number, sample in enumerate(samples, start=1):
        Image.fromarray(sample.image).save(root / f"images/{sample.key}.png")
        results: list[Record] = []
        height, width = sample.size
        for row, keypoints in enumerate(sample.keypoints):
            x0, y0, x1, y1 = sample.boxes[row].tolist()
            box = {
                "x": x0 / width * 100, "y": y0 / height * 100, "width": (x1 + 1 - x0) / width * 100,
                "height": (y1 + 1 - y0) / height * 100, "rotation": 0,
            }  # fmt: skip
            results.append(region(f"p{row}", "rectanglelabels", "person", sample.size, box))
            for part, name in enumerate(taxonomy.part_names, start=1):
                mask = (sample.parts == part) & (sample.people == row + 1)
                if mask.any():
                    value = {"format": "rle", "rle": brush_strokes(mask)}
                    results.append(region(f"p{row}m{part}", "brushlabels", name, sample.size, value, f"p{row}"))
            for k, name in enumerate(taxonomy.joint_names):
                x, y, v = keypoints[k].tolist()
                if v > 0:
                    point = {"x": (x + 0.5) / width * 100, "y": (y + 0.5) / height * 100, "width": 0.5}
                    joint = region(f"p{row}j{k}", "keypointlabels", name, sample.size, point, f"p{row}")
                    results.append(joint)
                    if v == 1:
                        value = {**point, "choices": ["Occluded"]}
                        results.append({**joint, "type": "choices", "from_name": "hidden", "value": value})
        tasks.append(
            {
                "id": number, "data": {"image": f"/data/upload/1/0a1b2c3d-{sample.key}.png"},
                "annotations": [{"id": number, "was_cancelled": False, "result": results}],
            }
        )  # fmt: skip
    path = root / "export.json"
    path.write_text(json.dumps(tasks))
    return path


def region(
    number: str, kind: str, name: str, size: tuple[int, int], value: Record, parent: str | None = None
) -> Record:
    """One Label Studio result."""
    record: Record = {
        "id": number, "type": kind, "from_name": kind, "to_name": "image", "original_width": size[1],
        "original_height": size[0], "image_rotation": 0, "value": {**value, kind: [name]},
    }  # fmt: skip
    return record | ({} if parent is None else {"parentID": parent})


def brush_strokes(mask: Bool, widths: tuple[int, int, int, int] = (3, 4, 8, 16)) -> list[int]:
    """A mask in Label Studio's run lengths, runs of one written as literals."""
    rgba = np.repeat(mask.ravel() * np.uint8(255), 4).tolist()
    bits = f"{len(rgba):032b}{7:05b}" + "".join(f"{width - 1:04b}" for width in widths)
    start = 0
    while start < len(rgba):
        end = start
        while end < len(rgba) and rgba[end] == rgba[start] and end - start < 1 << widths[3]:
            end += 1
        which = next(i for i, width in enumerate(widths) if end - start <= 1 << width)
        repeated = end - start > 1
        bits += f"{repeated:b}{which:02b}{end - start - 1:0{widths[which]}b}{rgba[start]:08b}"
        start = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def run_lengths(mask: Bool) -> list[int]:
    """Uncompressed COCO RLE counts: column by column, zeros first."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(int)))
    counts = np.diff(np.concatenate([[0], edges]))
    rest = flat.size - counts.sum()
    return [*counts.tolist(), *([int(rest)] if rest else [])]


def _image(number: int, sample: Sample) -> Record:
    return {"id": number, "file_name": f"{sample.key}.png", "height": sample.size[0], "width": sample.size[1]}


def _person(identity: int, image: int, row: int, sample: Sample) -> Record:
    runs = coco.encode(np.asfortranarray(sample.people == row + 1).astype(np.uint8))
    x0, y0, x1, y1 = sample.boxes[row].tolist()
    return {
        "id": identity, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": [x0, y0, x1 - x0, y1 - y0],
        "segmentation": {"size": list(sample.size), "counts": runs["counts"].decode()},
        "keypoints": sample.keypoints[row].ravel().tolist(),
    }  # fmt: skip


def _write(path: Path, images: list[Record], annotations: list[Record], categories: list[Record]) -> Path:
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path
