"""What one photo adds to the figures: its people compared with its labels in every way, and nothing of its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.taxonomy import IGNORE, Taxonomy
from training.data.samples import Bool, Sample
from training.evaluation.metrics.boundaries import mask_boundary_f, part_contours
from training.evaluation.metrics.detection_errors import NOTABLE
from training.evaluation.metrics.joints import joint_part_tables, joints_on_parts
from training.evaluation.metrics.parts import PersonParts, compare_parts
from training.evaluation.metrics.people import Instances, compare_masks
from training.evaluation.metrics.pixels import Float64, Int64, confusion
from training.evaluation.metrics.poses import Poses
from training.inference.predictions import PhotoPeople

BODY_IN_BOX = 0.53  # a person's area as a share of the box, where no mask tells


@dataclass(frozen=True)
class PhotoFigures:
    """What one photo adds to the figures; n labelled people, C parts."""

    key: str
    source: str  # see `Sample`
    negative: bool  # the photo is known to show nobody
    poses: Poses
    masks: Instances
    tall: Bool  # [n], people with a mask, taller than NOTABLE
    mask_boundary: Float64  # [n], F
    parts: PersonParts
    confusion: Int64  # [C+1, C+1]
    part_contours: Int64  # [C, 4], see `boundaries.part_contours`
    joints: Int64 | None  # [4], see `joints_on_parts`


def measure(sample: Sample, people: PhotoPeople, taxonomy: Taxonomy, negative: bool) -> PhotoFigures:
    """Compare one photo's people with its labels."""
    n, parts = len(sample.keypoints), len(taxonomy.part_names)
    truth, predicted = (sample.parts, sample.people), (people.part_map, people.person_map)
    masks = compare_masks(sample.people, people.person_map, sample.has_mask, people.score)
    tables = joint_part_tables(taxonomy)
    return PhotoFigures(
        key=sample.key,
        source=sample.source,
        negative=negative,
        poses=_poses(sample, people),
        masks=masks,
        tall=sample.has_mask & (sample.boxes[:, 3] - sample.boxes[:, 1] > NOTABLE),
        mask_boundary=mask_boundary_f(sample.people, people.person_map, masks),
        parts=compare_parts(truth, predicted, n, people.score, people.part_score),
        confusion=confusion(sample.parts, people.part_map, parts + 1),
        part_contours=part_contours(sample.parts, people.part_map, parts),
        joints=None if tables is None else joints_on_parts(sample.keypoints, people.part_map, tables),
    )


def _poses(sample: Sample, people: PhotoPeople) -> Poses:
    n, m = len(sample.keypoints), len(people.score)
    sides = sample.boxes[:, 2:] - sample.boxes[:, :2]  # [n, 2]
    pixels = np.bincount(sample.people.ravel(), minlength=256)[1 : n + 1]
    unlabelled = np.flatnonzero(~(sample.keypoints[:, :, 2] > 0).any(axis=1)) + 1
    unknown = (sample.people == IGNORE) | np.isin(sample.people, unlabelled)
    excused, sides_found = np.zeros(m, bool), np.zeros((m, 2))
    for row, joints in enumerate(people.keypoints):
        xy = joints[joints[:, 2] > 0, :2]
        if len(xy):
            column_row = np.rint(xy).astype(int)
            excused[row] = unknown[column_row[:, 1], column_row[:, 0]].mean() > 0.5
            sides_found[row] = xy.max(axis=0) - xy.min(axis=0)
    pixels_found = np.bincount(people.person_map.ravel(), minlength=m + 1)[1 : m + 1]
    return Poses(
        truth=sample.keypoints,
        area=_areas(pixels, sides),
        height=sides[:, 1].astype(float),
        found=people.keypoints,
        score=people.score,
        found_area=_areas(pixels_found, sides_found),
        found_height=sides_found[:, 1],
        excused=excused,
    )


def _areas(pixels: NDArray[np.int64], sides: NDArray[np.floating]) -> NDArray[np.float64]:
    """The mask's pixels; of people without any, a share of the box."""
    return np.where(pixels > 0, pixels, BODY_IN_BOX * sides.prod(axis=1)).astype(float)
