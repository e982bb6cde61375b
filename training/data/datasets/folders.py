"""Photos in folders: `images/`, `parts/`, `people/` and a COCO-keypoints `annotations.json` in each.

`docs/own-data.md` describes the format; `training.data.datasets.folder_records` reads its annotations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from model.taxonomy import BACKGROUND, IGNORE, Taxonomy
from training.data.datasets.base import SYNTHETIC, PhotoDataset, read_image
from training.data.datasets.folder_records import TRAIN, VALIDATION, FolderPhoto, read_annotations
from training.data.samples import DatasetError, Sample, mask_boxes

HELD_PEOPLE, HELD_NEGATIVES = 150, 50  # photos with people and without that the rule holds out
HELD_SHARE = 10  # and never more than one photo in ten
NEGATIVE_SHARE = 4  # of which at most one in four shows nobody


class FolderDataset(PhotoDataset):
    """Every photo of some folders, in the order of their annotation files.

    Raises DatasetError where an annotation file is missing, damaged, or of another taxonomy.
    """

    def __init__(self, roots: Sequence[Path], taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.photos: list[FolderPhoto] = []
        for root in roots:
            self.photos += read_annotations(Path(root), taxonomy)

    def load(self, index: int) -> Sample:
        """Read one photo and its maps (AVIF, JPEG or PNG).

        People of whom the annotations do not say whether they have a mask are looked up in the map, and missing boxes
        are drawn around masks. Raises DatasetError for a missing or broken file, and for a person without box and mask.
        """
        photo = self.photos[index]
        sample = Sample(
            image=read_image(photo.image, "RGB"),
            parts=read_image(photo.parts, None),
            people=read_image(photo.people, None),
            keypoints=photo.keypoints,
            joints_labelled=photo.joints_labelled,
            has_mask=photo.has_mask,
            boxes=photo.boxes,
            key=photo.key,
            source=photo.source,
        )
        return _complete(sample, photo) if photo.incomplete else sample

    def split(self) -> tuple[list[int], list[int]]:
        """Indices for training and for validation.

        A photo's own `split` wins, and where a folder marks some photos the others are for training. Of the remaining
        real photos up to one in ten is held out: 150 with people, all of whose joints are ground truth (two people or
        more before photos of one), and 50 that show nobody; a quarter of them show nobody where that is fewer. Chosen
        are those whose original id has the smallest SHA-256, so that other photos in the folders hardly matter.
        Training holds the rest, except a photo with the same original id as a held-out one and rendered frames with
        a held-out photo behind them.
        """
        photos = self.photos
        free = [i for i, photo in enumerate(photos) if photo.source != SYNTHETIC and not photo.split]
        shown = [i for i in free if photos[i].person_count and photos[i].ground_truth]
        empty = [i for i in free if photos[i].negative]

        def rank(i: int) -> str:
            return hashlib.sha256(photos[i].original_id.encode()).hexdigest()

        total = len(free) // HELD_SHARE
        negatives = sorted(empty, key=rank)[: min(HELD_NEGATIVES, total // NEGATIVE_SHARE)]
        people = sorted(shown, key=lambda i: (photos[i].person_count < 2, rank(i)))
        validation = people[: min(HELD_PEOPLE, total - len(negatives))] + negatives
        validation += [i for i, photo in enumerate(photos) if photo.split == VALIDATION]
        held = {photos[i].original_id for i in validation}
        training = [
            i
            for i, photo in enumerate(photos)
            if photo.split == TRAIN or not (photo.split or photo.original_id in held or photo.background in held)
        ]
        return training, sorted(validation)


def _complete(sample: Sample, photo: FolderPhoto) -> Sample:
    """Masks and boxes of the people of whom the annotations do not tell.

    Around somebody who turns out to have no mask, pixels of nobody become unknown: they may be that person.
    """
    drawn = np.bincount(sample.people.ravel(), minlength=256)[1 : photo.person_count + 1] > 0  # [n]
    boxes = np.where(np.isnan(sample.boxes), mask_boxes(sample.people, photo.person_count), sample.boxes)
    lost = np.flatnonzero(np.isnan(sample.boxes).any(axis=1) & ~drawn)
    if lost.size:
        raise DatasetError(
            f"{photo.people}: person {lost[0] + 1} has no pixel in this map and no bbox in the annotations; "
            "paint the person or give its bbox"
        )
    parts, people = sample.parts.copy(), sample.people.copy()
    unmasked = photo.mask_assumed & ~drawn
    for x0, y0, x1, y1 in np.rint(boxes[unmasked]).astype(int):
        area = slice(max(y0, 0), y1 + 1), slice(max(x0, 0), x1 + 1)
        nobody = people[area] == BACKGROUND
        parts[area][nobody] = people[area][nobody] = IGNORE
    return replace(sample, parts=parts, people=people, has_mask=sample.has_mask & ~unmasked, boxes=boxes)
