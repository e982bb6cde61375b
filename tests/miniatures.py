"""The published data sets in miniature: drawn people, written as each set's own files are.

Every function takes the images of the two halves of the official split as samples (or as a count, and draws them),
writes them below `root`, and returns what a user would name on the command line. What the samples call unknown is
left out, as far as the format can.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as run_lengths
from scipy.io import savemat

from model.taxonomy import DENSEPOSE_COCO, MHP_V2, PASCAL_PERSON_PART, Taxonomy
from tests.figures import draw_figures
from training.data.samples import Sample

Samples = Sequence[Sample] | int

M2FP_IDS = np.array([0, 2, 4, 6, 1, 3, 5], np.uint8)  # category id of head, torso, upper arms, lower arms, legs
GRID = 256  # side of DensePose's part masks
# Pascal-Part's names for the six parts; MATLAB knows more, which the readers merge.
PASCAL_PART_NAMES = ("head", "torso", "luarm", "llarm", "luleg", "llleg")
JOINT_FILE_ORDER = (0, 1, 2, 4, 6, 8, 10, 12, 3, 5, 7, 9, 11, 13)  # the taxonomy's joints: first all left ones


def drawn(taxonomy: Taxonomy, samples: Samples, seed: int = 0, size: tuple[int, int] = (192, 160)) -> list[Sample]:
    """The samples themselves, or so many new ones of one to three people."""
    if not isinstance(samples, int):
        return list(samples)
    return [draw_figures(taxonomy, size, 1 + i % 3, seed + i) for i in range(samples)]


def mhp_v2(root: Path, train: Samples = 3, val: Samples = 2) -> Path:
    """LV-MHP-v2 below `root`: a 3-channel PNG a person (the ids in the first channel) and a .mat an image."""
    base = root / "LV-MHP-v2"
    (base / "list").mkdir(parents=True)
    for split, samples, first in (("train", train, 0), ("val", val, 1000)):
        for folder in ("images", "parsing_annos", "pose_annos"):
            (base / split / folder).mkdir(parents=True)
        numbers = []
        for number, sample in enumerate(drawn(MHP_V2, samples, first), start=first + 1):
            numbers.append(str(number))
            _save_jpeg(base / split / "images" / f"{number}.jpg", sample)
            poses = {}
            count = len(sample.keypoints)
            for row, keypoints in enumerate(sample.keypoints):
                labels = np.where(sample.people == row + 1, sample.parts, 0).astype(np.uint8)
                color = np.stack([labels, labels // 2, 255 - labels], axis=2)  # the other channels mean nothing
                name = f"{number}_{count:02d}_{row + 1:02d}.png"
                Image.fromarray(color).save(base / split / "parsing_annos" / name)
                poses[f"person_{row}"] = mhp_pose(keypoints, sample.joints_labelled[row], sample.boxes[row])
            savemat(base / split / "pose_annos" / f"{number}.mat", poses)
        (base / "list" / f"{split}.txt").write_text("".join(f"{number}\n" for number in numbers))
    return base


def mhp_pose(keypoints: np.ndarray, labelled: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A person's [20, 3]: 16 joints with flag 0 visible, 1 occluded, 2 outside; corners of the face and person box."""
    pose = np.full((20, 3), -1.0)
    visibility = keypoints[:, 2]
    pose[:16] = np.where(visibility[:, None] > 0, keypoints, -1)
    pose[:16, 2] = np.where(visibility > 0, 2 - visibility, np.where(labelled, 2, 0))  # -1 though visible: unknown
    pose[16:18] = [[1, 1, 0], [9, 9, 0]]
    pose[18:, :2], pose[18:, 2] = box.reshape(2, 2), 0
    return pose


def densepose_coco(root: Path, train: Samples = 3, minival: Samples = 2, rest: Samples = 0) -> Path:
    """COCO's annotation files with `dp_masks`, and images named as COCO's. `rest` is valminusminival."""
    (root / "annotations").mkdir(parents=True)
    halves = (("train", train, "train2014"), ("minival", minival, "val2014"), ("valminusminival", rest, "val2014"))
    for part, (split, samples, folder) in enumerate(halves):
        (root / folder).mkdir(exist_ok=True)
        value: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
        for i, sample in enumerate(drawn(DENSEPOSE_COCO, samples, 100 * part)):
            number = 1000 * part + i + 1
            name = f"COCO_{folder}_{number:012d}.jpg"
            _save_jpeg(root / folder / name, sample)
            height, width = sample.size
            value["images"].append({"id": number, "file_name": name, "height": height, "width": width})
            value["annotations"] += [_coco_person(sample, row, number) for row in range(len(sample.keypoints))]
        (root / "annotations" / f"densepose_coco_2014_{split}.json").write_text(json.dumps(value))
    return root


def _coco_person(sample: Sample, row: int, image: int) -> dict[str, Any]:
    mask = sample.people == row + 1
    outline = run_lengths.encode(np.asfortranarray(mask.astype(np.uint8)))
    box = run_lengths.toBbox(outline)  # x, y, width, height
    keypoints = sample.keypoints[row]
    return {
        "id": 100 * image + row,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "area": int(mask.sum()),
        "bbox": box.tolist(),
        "segmentation": {"size": list(mask.shape), "counts": outline["counts"].decode()},
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        "dp_masks": part_masks(np.where(mask, sample.parts, 0), box),
        "dp_I": [1.0], "dp_U": [0.5], "dp_V": [0.5], "dp_x": [128.0], "dp_y": [128.0],
    }  # fmt: skip


def part_masks(parts: np.ndarray, box: np.ndarray) -> list[Any]:
    """The 14 masks of a person with the given box; [] where it does not show a part."""
    x, y, width, height = box
    steps = (np.arange(GRID) + 0.5) / GRID
    rows, columns = (y + steps * height).astype(int), (x + steps * width).astype(int)
    grid = parts[np.ix_(rows.clip(0, parts.shape[0] - 1), columns.clip(0, parts.shape[1] - 1))]  # [256, 256]
    masks: list[Any] = []
    for part in range(1, len(DENSEPOSE_COCO.part_names) + 1):
        coded = run_lengths.encode(np.asfortranarray((grid == part).astype(np.uint8)))
        masks.append({"size": [GRID, GRID], "counts": coded["counts"].decode()} if (grid == part).any() else [])
    return masks


def pascal_person_part(root: Path, train: Samples = 3, test: Samples = 2, joints: bool = True) -> Path:
    """The label maps of M2FP's release, and the joint files of Xia et al."""
    for folder, samples, first in (("Training", train, 0), ("Testing", test, 500)):
        for kind in ("Images", "Category_ids", "Human_ids"):
            (root / folder / kind).mkdir(parents=True)
        for i, sample in enumerate(drawn(PASCAL_PERSON_PART, samples, first)):
            number = f"2008_{first + i:06d}"
            _save_jpeg(root / folder / "Images" / f"{number}.jpg", sample)
            palette = Image.fromarray(M2FP_IDS[sample.parts]).convert("P")
            palette.save(root / folder / "Category_ids" / f"{number}.png")
            Image.fromarray(sample.people).save(root / folder / "Human_ids" / f"{number}.png")
            if joints:
                pascal_joints(root, number, sample)
    return root


def pascal_part(root: Path, train: Samples = 3, test: Samples = 2, joints: bool = True) -> Path:
    """Pascal-Part: one .mat an image with a nested struct array of objects and their parts."""
    for folder in ("JPEGImages", "Annotations_Part"):
        (root / folder).mkdir(parents=True)
    for split, samples, first in (("train", train, 0), ("val", test, 500)):
        numbers = []
        for i, sample in enumerate(drawn(PASCAL_PERSON_PART, samples, first)):
            number = f"2008_{first + i:06d}"
            numbers.append(number)
            _save_jpeg(root / "JPEGImages" / f"{number}.jpg", sample)
            objects = [("person", sample.people == row, sample.parts) for row in range(1, len(sample.keypoints) + 1)]
            pascal_part_file(root / "Annotations_Part" / f"{number}.mat", objects)
            if joints:
                pascal_joints(root, number, sample)
        (root / f"{split}_id.txt").write_text("".join(f"{number}\n" for number in numbers))
    return root


def pascal_part_file(path: Path, objects: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """`anno` with objects of a class, a mask, and the parts that a map of part ids shows inside it."""
    records = np.zeros((1, len(objects)), [(name, object) for name in ("class", "class_ind", "mask", "parts")])
    for i, (name, mask, part_ids) in enumerate(objects):
        present = [part for part in range(1, 7) if (mask & (part_ids == part)).any()]
        parts = np.zeros((1, len(present)), [("part_name", object), ("mask", object)])
        for j, part in enumerate(present):
            parts[0, j] = (PASCAL_PART_NAMES[part - 1], (mask & (part_ids == part)).astype(np.uint8))
        records[0, i] = (name, 15.0 if name == "person" else 8.0, mask.astype(np.uint8), parts if present else [])
    savemat(path, {"anno": {"imname": path.stem, "objects": records}})


def pascal_joints(root: Path, number: str, sample: Sample) -> None:
    """PersonJoints/ID.mat: cell arrays of boxes and of joints; flag 1 visible, 2 occluded, NaN where there is none."""
    (root / "PersonJoints").mkdir(exist_ok=True)
    people = len(sample.keypoints)
    boxes, joints = np.zeros((1, people), object), np.zeros((1, people), object)
    for row in range(people):
        keypoints = sample.keypoints[row, list(JOINT_FILE_ORDER)].astype(float)
        keypoints[:, 2] = np.choose(keypoints[:, 2].astype(int), [0, 2, 1])
        keypoints[keypoints[:, 2] == 0] = np.nan
        boxes[0, row], joints[0, row] = sample.boxes[row : row + 1].astype(float), keypoints
    savemat(root / "PersonJoints" / f"{number}.mat", {"boxes": boxes, "joints": joints})


def _save_jpeg(path: Path, sample: Sample) -> None:
    Image.fromarray(sample.image).save(path, quality=95, subsampling=0)
