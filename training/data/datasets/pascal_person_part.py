"""PASCAL-Person-Part (Chen et al., 2014; joints: Xia et al., 2017) in the two forms that are in use.

Label maps:                                          MATLAB files of Pascal-Part:
ROOT/                                                ROOT/
    Training/Images/ID.jpg       and in Testing/         JPEGImages/ID.jpg          images of PASCAL VOC 2010
    Training/Category_ids/ID.png parts                   Annotations_Part/ID.mat    masks of objects and their parts
    Training/Human_ids/ID.png    people                  train_id.txt, val_id.txt   one id per line; see `LISTS`
    categories.txt               optional                PersonJoints/ID.mat        optional
    PersonJoints/ID.mat          optional

Category ids are those of M2FP's release. If they are not (SCHP's differ), `categories.txt` names the parts of ids
1, 2, ... one per line, with the taxonomy's names. `pascal_joints` describes the joints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.taxonomy import IGNORE, PASCAL_PERSON_PART
from training.data.datasets.base import ImageDataset, ImageRecord, read_image
from training.data.datasets.label_files import ignore_box, list_names, read_ids
from training.data.datasets.pascal_joints import joint_files, read_joints
from training.data.datasets.pascal_labels import LabelMaps, PartMasks
from training.data.samples import DatasetError, Sample, mask_boxes

SPLITS = (("Training", "train"), ("Testing", "val"))  # folder of label maps, name of the list
LISTS = ("{}_id.txt", "{}.txt")
LIST_FOLDERS = ("", "list", "pascal_person_part_trainval_list")
CATEGORIES = "categories.txt"
M2FP_ORDER = ("lower_arms", "head", "upper_legs", "torso", "lower_legs", "upper_arms")


@dataclass(frozen=True, kw_only=True)
class PascalRecord(ImageRecord):
    """An image record with the files of its labels."""

    image: Path
    labels: LabelMaps | PartMasks
    joints: Path | None  # None: not annotated
    split: str


class PascalPersonPart(ImageDataset):
    """All images of the training and the test split.

    Raises DatasetError if a list or an image folder is missing, or `categories.txt` names other parts.
    """

    taxonomy = PASCAL_PERSON_PART

    def __init__(self, root: Path) -> None:
        root = Path(root)
        joints = joint_files(root)
        files = _part_masks(root) if (root / "Annotations_Part").is_dir() else _label_maps(root)
        self.records: list[PascalRecord] = [
            PascalRecord(
                key=image.stem,
                source="pascal_person_part",
                image=image,
                labels=labels,
                joints=joints.get(image.stem),
                split=split,
            )
            for split, image, labels in files
        ]

    @staticmethod
    def matches_layout(root: Path) -> bool:
        """Return whether the folder has the layout of this set."""
        folders = ("Annotations_Part", *(f"{folder}/Category_ids" for folder, _ in SPLITS))
        return any((root / folder).is_dir() for folder in folders)

    def split(self) -> tuple[list[int], list[int]]:
        """Return the official split: 1,716 images for training, 1,817 for testing."""
        training = [i for i, record in enumerate(self.records) if record.split == "train"]
        return training, list(range(len(training), len(self.records)))

    def load(self, index: int) -> Sample:
        """Read one image. A person who has joints but no mask gets a row, and its box becomes unknown.

        Raises DatasetError, naming the file, if one is missing or broken, or has an unknown id or part name.
        """
        record = self.records[index]
        image = read_image(record.image, "RGB")
        size = (image.shape[0], image.shape[1])
        parts, people = record.labels.read(size)
        count = int(people[people != IGNORE].max(initial=0))
        boxes = mask_boxes(people, count)
        keypoints = np.zeros((count, len(PASCAL_PERSON_PART.joint_names), 3), np.float32)
        labelled = np.zeros(keypoints.shape[:2], bool)
        if record.joints is not None:
            boxes, keypoints, labelled = read_joints(record.joints, boxes, size)
        for box in boxes[count:]:
            ignore_box(parts, people, box)
        return Sample(
            image=image,
            parts=parts,
            people=people,
            keypoints=keypoints,
            joints_labelled=labelled,
            has_mask=np.arange(len(boxes)) < count,
            pseudo_mask=np.zeros(len(boxes), bool),
            boxes=boxes,
            key=record.key,
            source=record.source,
        )


def _label_maps(root: Path) -> Iterator[tuple[str, Path, LabelMaps]]:
    order = _category_order(root / CATEGORIES)
    for folder, split in SPLITS:
        for name in list_names(root / folder / "Images"):
            png = f"{Path(name).stem}.png"
            labels = LabelMaps(root / folder / "Category_ids" / png, root / folder / "Human_ids" / png, order)
            yield split, root / folder / "Images" / name, labels


def _part_masks(root: Path) -> Iterator[tuple[str, Path, PartMasks]]:
    for _, split in SPLITS:
        paths = [root / folder / name.format(split) for folder in LIST_FOLDERS for name in LISTS]
        path = next((path for path in paths if path.is_file()), paths[0])
        for number in read_ids(path):
            yield split, root / "JPEGImages" / f"{number}.jpg", PartMasks(root / "Annotations_Part" / f"{number}.mat")


def _category_order(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return M2FP_ORDER
    order = tuple(path.read_text(encoding="utf-8").split())
    if sorted(order) != sorted(M2FP_ORDER):
        raise DatasetError(
            f"{path} names {', '.join(order) or 'nothing'}: write {', '.join(M2FP_ORDER)} in their order"
        )
    return order
