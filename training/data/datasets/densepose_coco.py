"""DensePose-COCO (Güler et al., 2018) as it is unpacked: COCO images, 14 parts, COCO's 17 joints.

ROOT/
    annotations/densepose_coco_2014_train.json    or densepose_train2014.json, the newer release; see `ANNOTATIONS`
    annotations/densepose_coco_2014_valminusminival.json
    annotations/densepose_coco_2014_minival.json
    train2014/COCO_train2014_*.jpg, val2014/      images as COCO publishes them; see `IMAGE_FOLDERS`

A person with `dp_masks` has 14 masks of 256x256 that span its bounding box; everybody has COCO's `segmentation`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.taxonomy import DENSEPOSE_COCO, IGNORE
from training.data.datasets.base import ImageDataset, ImageRecord, read_image
from training.data.datasets.densepose_labels import DensePosePerson, drop_surface_points, rasterize, read_person
from training.data.datasets.label_files import MAX_PEOPLE, ignore_box
from training.data.samples import DatasetError, Sample, mask_boxes

TRAIN, REST, MINIVAL = "train", "valminusminival", "minival"
ANNOTATIONS = ("densepose_coco_2014_{}.json", "densepose_{}2014.json", "densepose_{}2014_cse.json")
ANNOTATION_FOLDERS = ("annotations", "annotations/DensePose_COCO", "DensePose_COCO", "")
IMAGE_FOLDERS = ("{}2014", "images/{}2014", "coco_{}2014")
PERSON = 1  # COCO's category


@dataclass(frozen=True, kw_only=True)
class DensePoseRecord(ImageRecord):
    """An image record with its split and people."""

    image: Path
    annotations: Path
    split: str
    people: tuple[DensePosePerson, ...]


class DensePoseCoco(ImageDataset):
    """Images with at least one DensePose person, from every annotation file under `root`.

    Raises DatasetError if there is no annotation file, one is damaged, or its image folder is missing.
    """

    taxonomy = DENSEPOSE_COCO

    def __init__(self, root: Path) -> None:
        root = Path(root)
        files = _annotation_files(root)
        if not files:
            names = " or ".join(name.format(MINIVAL) for name in ANNOTATIONS[:2])
            raise DatasetError(f"{root / 'annotations'} has no DensePose file such as {names}: download it there")
        self.records: list[DensePoseRecord] = []
        for split, path in files.items():
            self.records += _read(path, split, _image_folder(root, "train" if split == TRAIN else "val"))

    @staticmethod
    def matches_layout(root: Path) -> bool:
        """Return whether the folder has the layout of this set."""
        return bool(_annotation_files(root))

    def split(self, valminusminival: bool = False) -> tuple[list[int], list[int]]:
        """Return `train` for training and `minival` (1,508 images) for validation.

        The paper counts 26,151 and 1,508 images. `train` has 26,437 before images without a DensePose person are left
        out, `train` and `valminusminival` together 32,421: so the paper trained on `train` alone. DensePose itself
        trains on both, as does `valminusminival=True`.
        """
        chosen = (TRAIN, REST) if valminusminival else (TRAIN,)
        training = [i for i, record in enumerate(self.records) if record.split in chosen]
        return training, [i for i, record in enumerate(self.records) if record.split == MINIVAL]

    def load(self, index: int) -> Sample:
        """Read one image and rasterize its labels.

        A pixel belongs to the person whose segmentation contains it (the later one of two), or else whose part masks
        do. If a person has no part masks, its parts are 255. A crowd is 255 in both maps. Raises DatasetError if the
        image is missing or broken, or masks cannot be decoded.
        """
        record = self.records[index]
        image = read_image(record.image, "RGB")
        size = (image.shape[0], image.shape[1])
        rows = [person for person in record.people if not person.crowd]
        if len(rows) > MAX_PEOPLE:
            raise DatasetError(f"{record.image} has {len(rows)} people; at most {MAX_PEOPLE} can be told apart")
        try:
            parts, people = rasterize(record.people, rows, size)
        except (ValueError, TypeError, IndexError) as error:
            raise DatasetError(
                f"{record.annotations}: masks of {record.image.name} cannot be decoded ({error}): download it again"
            ) from error
        has_mask = np.bincount(people.ravel(), minlength=IGNORE + 1)[1 : len(rows) + 1] > 0
        boxes = np.array([person.box for person in rows], np.float32).reshape(-1, 4)  # [n, 4]
        boxes[:, 2:] += boxes[:, :2] - 1  # xywh to corners that are pixels
        for row in np.flatnonzero(~has_mask):
            ignore_box(parts, people, boxes[row])
        keypoints = np.array([person.keypoints for person in rows], np.float32).reshape(len(rows), -1, 3)
        keypoints = keypoints if rows else np.zeros((0, len(DENSEPOSE_COCO.joint_names), 3), np.float32)  # [n, K, 3]
        return Sample(
            image=image,
            parts=parts,
            people=people,
            keypoints=keypoints,
            # COCO's v = 0 is "not labelled": outside the image and not annotated look alike.
            joints_labelled=keypoints[:, :, 2] > 0,
            has_mask=has_mask,
            pseudo_mask=np.zeros(len(rows), bool),
            boxes=np.where(has_mask[:, None], mask_boxes(people, len(rows)), boxes),
            key=record.key,
            source=record.source,
        )


def _annotation_files(root: Path) -> dict[str, Path]:
    """Return the first file found for each split."""
    found = {}
    for split in (TRAIN, REST, MINIVAL):
        paths = (root / folder / name.format(split) for folder in ANNOTATION_FOLDERS for name in ANNOTATIONS)
        if path := next((path for path in paths if path.is_file()), None):
            found[split] = path
    return found


def _image_folder(root: Path, which: str) -> Path:
    folders = [root / folder.format(which) for folder in IMAGE_FOLDERS]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise DatasetError(f"{folders[0]} is missing: unpack COCO's {which}2014.zip there")


def _read(path: Path, split: str, folder: Path) -> list[DensePoseRecord]:
    people: dict[int, list[DensePosePerson]] = defaultdict(list)
    try:
        with path.open(encoding="utf-8") as file:
            value = json.load(file, object_hook=drop_surface_points)
        for annotation in value["annotations"]:
            if annotation.get("category_id", PERSON) == PERSON:
                people[annotation["image_id"]].append(read_person(annotation))
        return [
            DensePoseRecord(
                key=Path(image["file_name"]).stem,
                source="densepose_coco",
                image=folder / image["file_name"],
                annotations=path,
                split=split,
                people=tuple(people[image["id"]]),
            )
            for image in value["images"]
            if any(person.part_masks for person in people[image["id"]])
        ]
    except (OSError, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise DatasetError(f"{path} is damaged ({error!r}): download it again") from error
