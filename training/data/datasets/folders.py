"""Image folders: `images/`, `parts/`, `people/` and a COCO-keypoints `annotations.json` in each.

`docs/own-data.md` describes the format; `training.data.datasets.folder_records` reads its annotations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from model.taxonomy import BACKGROUND, IGNORE, Taxonomy
from training.data.datasets.base import SYNTHETIC, ImageDataset, read_image
from training.data.datasets.folder_records import TRAIN, VALIDATION, FolderRecord, read_annotations
from training.data.samples import DatasetError, Sample, mask_boxes

HELD_PEOPLE, HELD_NEGATIVES = 150, 50  # most held-out images with people, and person-free
HELD_SHARE = 10  # at most one image in ten is held out
NEGATIVE_SHARE = 4  # at most one held-out image in four is person-free


class FolderDataset(ImageDataset):
    """All images of some folders, in the order of their annotation files.

    Raises DatasetError if an annotation file is missing, damaged, or of another taxonomy.
    """

    def __init__(self, roots: Sequence[Path], taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.records: list[FolderRecord] = []
        for root in roots:
            self.records += read_annotations(Path(root), taxonomy)

    def load(self, index: int) -> Sample:
        """Read one image and its maps (AVIF, JPEG or PNG).

        If an annotation has no `mask_source`, the people map decides whether the person has a mask. Missing boxes are
        computed from masks. Raises DatasetError if a file is missing or broken, or a person has neither box nor mask.
        """
        record = self.records[index]
        sample = Sample(
            image=read_image(record.image, "RGB"),
            parts=read_image(record.parts, None),
            people=read_image(record.people, None),
            keypoints=record.keypoints,
            joints_labelled=record.joints_labelled,
            has_mask=record.has_mask,
            pseudo_mask=record.pseudo_mask,
            boxes=record.boxes,
            key=record.key,
            source=record.source,
        )
        return _complete(sample, record) if record.incomplete else sample

    def split(self) -> tuple[list[int], list[int]]:
        """Return indices for training and for validation.

        An image's own `split` wins; if a folder gives some images one, its other images are for training. Of the
        remaining real images up to one in ten is held out: 150 whose people all have ground-truth joints (two or more
        people first) and 50 person-free ones, or a quarter of the total if that is fewer. Images with the smallest
        SHA-256 of the original id are chosen, so that other images in the folders hardly matter. Training gets the
        rest, except images with the original id of a held-out one and synthetic images with a held-out background.
        """
        records = self.records
        free = [i for i, record in enumerate(records) if record.source != SYNTHETIC and not record.split]
        shown = [i for i in free if records[i].person_count and records[i].ground_truth]
        empty = [i for i in free if records[i].negative]

        def rank(i: int) -> str:
            return hashlib.sha256(records[i].original_id.encode()).hexdigest()

        total = len(free) // HELD_SHARE
        negatives = sorted(empty, key=rank)[: min(HELD_NEGATIVES, total // NEGATIVE_SHARE)]
        people = sorted(shown, key=lambda i: (records[i].person_count < 2, rank(i)))
        validation = people[: min(HELD_PEOPLE, total - len(negatives))] + negatives
        validation += [i for i, record in enumerate(records) if record.split == VALIDATION]
        held = {records[i].original_id for i in validation}
        training = [
            i
            for i, record in enumerate(records)
            if record.split == TRAIN or not (record.split or record.original_id in held or record.background in held)
        ]
        return training, sorted(validation)


def _complete(sample: Sample, record: FolderRecord) -> Sample:
    """Resolve the masks and boxes that the annotations leave open.

    Inside the box of a person without a mask, background pixels become unknown: they may belong to the person.
    """
    drawn = np.bincount(sample.people.ravel(), minlength=256)[1 : record.person_count + 1] > 0  # [n]
    boxes = np.where(np.isnan(sample.boxes), mask_boxes(sample.people, record.person_count), sample.boxes)
    lost = np.flatnonzero(np.isnan(sample.boxes).any(axis=1) & ~drawn)
    if lost.size:
        raise DatasetError(
            f"{record.people}: person {lost[0] + 1} has no pixel in this map and no bbox in the annotations; "
            "paint the person or give its bbox"
        )
    parts, people = sample.parts.copy(), sample.people.copy()
    unmasked = record.mask_assumed & ~drawn
    for x0, y0, x1, y1 in np.rint(boxes[unmasked]).astype(int):
        area = slice(max(y0, 0), y1 + 1), slice(max(x0, 0), x1 + 1)
        nobody = people[area] == BACKGROUND
        parts[area][nobody] = people[area][nobody] = IGNORE
    return replace(sample, parts=parts, people=people, has_mask=sample.has_mask & ~unmasked, boxes=boxes)
