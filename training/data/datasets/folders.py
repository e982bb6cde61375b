"""Images in folders: `images/`, `parts/`, `people/` and a COCO-keypoints `annotations.json` in each.

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

HELD_PEOPLE, HELD_NEGATIVES = 150, 50  # images with people and without that the rule holds out
HELD_SHARE = 10  # and never more than one image in ten
NEGATIVE_SHARE = 4  # of which at most one in four shows nobody


class FolderDataset(ImageDataset):
    """Every image of some folders, in the order of their annotation files.

    Raises DatasetError where an annotation file is missing, damaged, or of another taxonomy.
    """

    def __init__(self, roots: Sequence[Path], taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.records: list[FolderRecord] = []
        for root in roots:
            self.records += read_annotations(Path(root), taxonomy)

    def load(self, index: int) -> Sample:
        """Read one image and its maps (AVIF, JPEG or PNG).

        People of whom the annotations do not say whether they have a mask are looked up in the map, and missing boxes
        are drawn around masks. Raises DatasetError for a missing or broken file, and for a person without box and mask.
        """
        record = self.records[index]
        sample = Sample(
            image=read_image(record.image, "RGB"),
            parts=read_image(record.parts, None),
            people=read_image(record.people, None),
            keypoints=record.keypoints,
            joints_labelled=record.joints_labelled,
            has_mask=record.has_mask,
            boxes=record.boxes,
            key=record.key,
            source=record.source,
        )
        return _complete(sample, record) if record.incomplete else sample

    def split(self) -> tuple[list[int], list[int]]:
        """Indices for training and for validation.

        An image's own `split` wins, and where a folder marks some images the others are for training. Of the remaining
        real images up to one in ten is held out: 150 with people, all of whose joints are ground truth (two people or
        more before images of one), and 50 that show nobody; a quarter of them show nobody where that is fewer. Chosen
        are those whose original id has the smallest SHA-256, so that other images in the folders hardly matter.
        Training holds the rest, except an image with the same original id as a held-out one and rendered frames with
        a held-out image behind them.
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
    """Masks and boxes of the people of whom the annotations do not tell.

    Around somebody who turns out to have no mask, pixels of nobody become unknown: they may be that person.
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
