"""Multi-Human Parsing v2 (Zhao et al., 2018) as it is unpacked: 58 parts, 16 joints.

LV-MHP-v2/
    list/train.txt, list/val.txt             one id per line
    train/images/ID.jpg                      and the same in val/
    train/parsing_annos/ID_NN_II.png         person II (from 01) of NN: its parts, in the first of three channels
    train/pose_annos/ID.mat                  `person_{II-1}` [20, 3]: x, y, flag; rows 0-15 are the joints in the
                                             taxonomy's order, 16-17 the face box, 18-19 the person box
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.taxonomy import MHP_V2
from training.data.datasets.base import ImageDataset, ImageRecord, read_image
from training.data.datasets.label_files import (
    MAX_PEOPLE,
    ignore_box,
    inside,
    list_names,
    read_ids,
    read_labels,
    read_mat,
)
from training.data.samples import Bool, DatasetError, Float32, Sample, mask_boxes

SPLITS = ("train", "val")
FOLDER = "LV-MHP-v2"
PERSON_FILE = re.compile(r"(?P<image>.+)_(?P<count>\d+)_(?P<person>\d+)\.png")
JOINTS = len(MHP_V2.joint_names)
VISIBLE, OCCLUDED, OUTSIDE = 0, 1, 2  # flags of a joint in the files
PERSON_BOX = slice(18, 20)  # rows of the two corners


@dataclass(frozen=True, kw_only=True)
class MhpRecord(ImageRecord):
    """An image record with its split's folder and the files of its people in order."""

    folder: Path
    number: str
    people: tuple[str, ...]


class MhpV2(ImageDataset):
    """All images of the training and the validation list. `root` is LV-MHP-v2 or the folder that contains it.

    Raises DatasetError if a list or a folder of parts is missing.
    """

    taxonomy = MHP_V2

    def __init__(self, root: Path) -> None:
        root = _base(Path(root))
        self.records: list[MhpRecord] = []
        for split in SPLITS:
            people: dict[str, list[str]] = defaultdict(list)
            for name in list_names(root / split / "parsing_annos"):
                if match := PERSON_FILE.fullmatch(name):
                    people[match["image"]].append(name)
            self.records += [
                MhpRecord(
                    key=f"{split}_{number}",
                    source="mhp_v2",
                    folder=root / split,
                    number=number,
                    people=tuple(people[number]),
                )
                for number in read_ids(root / "list" / f"{split}.txt")
            ]

    @staticmethod
    def matches_layout(root: Path) -> bool:
        """Return whether the folder has the layout of this set."""
        return any((_base(root) / split / "parsing_annos").is_dir() for split in SPLITS)

    def split(self) -> tuple[list[int], list[int]]:
        """Return the official lists: 15,403 images for training, 5,000 for validation."""
        training = [i for i, record in enumerate(self.records) if record.folder.name == SPLITS[0]]
        return training, list(range(len(training), len(self.records)))

    def load(self, index: int) -> Sample:
        """Read one image. If two people claim a pixel, the later one has it, as in the official evaluation.

        Raises DatasetError, naming the file, if one is missing or broken.
        """
        record = self.records[index]
        image = read_image(record.folder / "images" / f"{record.number}.jpg", "RGB")
        size = (image.shape[0], image.shape[1])
        count = _count(record)
        poses = read_mat(record.folder / "pose_annos" / f"{record.number}.mat")
        parts, people = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        keypoints, labelled = np.zeros((count, JOINTS, 3), np.float32), np.zeros((count, JOINTS), bool)
        whole = np.zeros((count, 4), np.float32)  # boxes, pixels of people in front included
        unseen = []
        for row, name in enumerate(record.people):
            labels = read_labels(record.folder / "parsing_annos" / name, size, len(MHP_V2.part_names))
            mask = labels > 0
            parts[mask], people[mask] = labels[mask], row + 1
            pose = _pose(record, poses, row)
            keypoints[row], labelled[row] = _joints(pose, size)
            if mask.any():
                whole[row] = mask_boxes(mask.astype(np.uint8), 1)[0]
            else:
                whole[row] = pose[PERSON_BOX, :2].ravel()
                unseen.append(whole[row])
        for box in unseen:
            ignore_box(parts, people, box)
        has_mask = np.bincount(people.ravel(), minlength=MAX_PEOPLE + 2)[1 : count + 1] > 0
        return Sample(
            image=image,
            parts=parts,
            people=people,
            keypoints=keypoints,
            joints_labelled=labelled,
            has_mask=has_mask,
            pseudo_mask=np.zeros(count, bool),
            boxes=np.where(has_mask[:, None], mask_boxes(people, count), whole),
            key=record.key,
            source=record.source,
        )


def _base(root: Path) -> Path:
    return root / FOLDER if (root / FOLDER).is_dir() else root


def _count(record: MhpRecord) -> int:
    """Return the number of people. Raises DatasetError if files of people are missing or there are too many."""
    folder = record.folder / "parsing_annos"
    if not record.people:
        raise DatasetError(f"{folder}/{record.number}_NN_01.png is missing: unpack the data set again")
    matches = [PERSON_FILE.fullmatch(name) for name in record.people]
    numbers = {int(match["person"]) for match in matches if match}
    count = max(int(match["count"]) for match in matches if match)
    missing = sorted(set(range(1, count + 1)) - numbers)
    if missing or len(record.people) != count:
        names = ", ".join(f"{record.number}_{count:02d}_{person:02d}.png" for person in missing) or "one file a person"
        raise DatasetError(f"{folder}: of {count} people of image {record.number} {names} is missing: unpack again")
    if count > MAX_PEOPLE:
        raise DatasetError(
            f"{folder}: image {record.number} has {count} people; at most {MAX_PEOPLE} can be told apart"
        )
    return count


def _pose(record: MhpRecord, poses: dict[str, Any], row: int) -> Float32:
    """Return the rows [20, 3] of a person; NaN if the file lacks the person. Raises DatasetError for other shapes."""
    pose = np.asarray(poses.get(f"person_{row}", np.full((20, 3), np.nan)))
    if pose.shape != (20, 3) or pose.dtype.kind not in "iuf":
        path = record.folder / "pose_annos" / f"{record.number}.mat"
        raise DatasetError(f"{path}: person_{row} is {pose.dtype} {pose.shape}, not 20x3 numbers: unpack it again")
    return pose.astype(np.float32)


def _joints(pose: Float32, size: tuple[int, int]) -> tuple[Float32, Bool]:
    """Return keypoints [K, 3] and which of them are labelled [K].

    The annotation tool wrote -1 for joints that are not visible, and 7.7 % of the points in the official test file are
    -1 though marked visible: a flag without a position does not say where the joint is. Only flag 2 says that it is
    outside.
    """
    x, y, flag = pose[:JOINTS].T
    placed = inside(x, y, size)
    visibility = np.select([placed & (flag == VISIBLE), placed & (flag == OCCLUDED)], [2, 1], 0)
    keypoints = np.where(visibility[:, None] > 0, np.stack([x, y, visibility], axis=1), 0)  # [K, 3]
    return keypoints.astype(np.float32), (visibility > 0) | (flag == OUTSIDE)
