"""Compare the prediction of one image with its labels, and compute all metrics from many such comparisons.

`compute_metrics` returns them ready for JSON: numbers, None if there is no value.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.taxonomy import IGNORE, TAXONOMIES, Taxonomy
from training.data.datasets.base import OWN, SYNTHETIC
from training.data.samples import Bool, Sample
from training.evaluation.metrics.averages import bootstrap, mean
from training.evaluation.metrics.boundaries import boundary_f, mask_boundary_f, part_contours
from training.evaluation.metrics.detection_errors import NOTABLE, person_errors
from training.evaluation.metrics.joints import joint_part_tables, joints_on_parts
from training.evaluation.metrics.parts import VOLUME, PersonParts, compare_parts, pcp
from training.evaluation.metrics.people import Instances, average_precision, coco_ap, compare_masks
from training.evaluation.metrics.pixels import Float64, Int64, class_ious, confusion
from training.evaluation.metrics.poses import Poses, joint_metrics, keypoint_ap
from training.evaluation.metrics.regions import part_ap
from training.inference.predictions import Prediction

BODY_IN_BOX = 0.53  # a person's area as a share of the box, if there is no mask

RESAMPLES = 200
REGION_THRESHOLDS = (50, 60, 70)  # percent: APr50, APr60, APr70


@dataclass(frozen=True)
class ImageMetrics:
    """Inputs of the metrics from one image; n labelled people, C parts."""

    key: str
    source: str  # see `Sample`
    negative: bool  # the image is known to be person-free
    poses: Poses
    masks: Instances
    tall: Bool  # [n], people with a mask, taller than NOTABLE
    mask_boundary: Float64  # [n], F
    parts: PersonParts
    confusion: Int64  # [C+1, C+1]
    part_contours: Int64  # [C, 4], see `boundaries.part_contours`
    joints: Int64 | None  # [4], see `joints_on_parts`


def measure(sample: Sample, people: Prediction, taxonomy: Taxonomy, negative: bool) -> ImageMetrics:
    """Compare the people of one image with its labels."""
    n, parts = len(sample.keypoints), len(taxonomy.part_names)
    gt, predicted = (sample.parts, sample.people), (people.part_map, people.person_map)
    masks = compare_masks(sample.people, people.person_map, sample.has_mask, people.score)
    tables = joint_part_tables(taxonomy)
    return ImageMetrics(
        key=sample.key,
        source=sample.source,
        negative=negative,
        poses=_poses(sample, people),
        masks=masks,
        tall=sample.has_mask & (sample.boxes[:, 3] - sample.boxes[:, 1] > NOTABLE),
        mask_boundary=mask_boundary_f(sample.people, people.person_map, masks),
        parts=compare_parts(gt, predicted, n, people.score, people.part_score),
        confusion=confusion(sample.parts, people.part_map, parts + 1),
        part_contours=part_contours(sample.parts, people.part_map, parts),
        joints=None if tables is None else joints_on_parts(sample.keypoints, people.part_map, tables),
    )


def _poses(sample: Sample, people: Prediction) -> Poses:
    n, m = len(sample.keypoints), len(people.score)
    sides = sample.boxes[:, 2:] - sample.boxes[:, :2]  # [n, 2]
    pixels = np.bincount(sample.people.ravel(), minlength=256)[1 : n + 1]
    unlabelled = np.flatnonzero(~(sample.keypoints[:, :, 2] > 0).any(axis=1)) + 1
    unknown = (sample.people == IGNORE) | np.isin(sample.people, unlabelled)
    dt_ignore, sides_found = np.zeros(m, bool), np.zeros((m, 2))
    for row, joints in enumerate(people.keypoints):
        xy = joints[joints[:, 2] > 0, :2]
        if len(xy):
            column_row = np.rint(xy).astype(int)
            dt_ignore[row] = unknown[column_row[:, 1], column_row[:, 0]].mean() > 0.5
            sides_found[row] = xy.max(axis=0) - xy.min(axis=0)
    pixels_found = np.bincount(people.person_map.ravel(), minlength=m + 1)[1 : m + 1]
    return Poses(
        gt=sample.keypoints,
        area=_areas(pixels, sides),
        height=sides[:, 1].astype(float),
        found=people.keypoints,
        score=people.score,
        found_area=_areas(pixels_found, sides_found),
        found_height=sides_found[:, 1],
        dt_ignore=dt_ignore,
    )


def _areas(pixels: NDArray[np.int64], sides: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the mask's pixels; for people without a mask, a share of the box."""
    return np.where(pixels > 0, pixels, BODY_IN_BOX * sides.prod(axis=1)).astype(float)


def compute_metrics(images: Sequence[ImageMetrics], taxonomy: Taxonomy) -> dict[str, Any]:
    """Compute all metrics of some images; those of each part and joint under `categories`."""
    poses = [image.poses for image in images]
    parts = _part_tables(images, taxonomy)
    return plain(
        {
            "images": len(images),
            "people": sum(len(image.poses.gt) for image in images),
            "keypoints": keypoint_ap(poses, taxonomy.joint_sigmas, RESAMPLES),
            "masks": _mask_metrics(images),
            "parts": _part_metrics(images, taxonomy, parts),
            "joints_on_parts": _joints_on_parts(images),
            "persons": _person_metrics(images, taxonomy),
            "categories": {
                "parts": _by_name(
                    taxonomy.part_names,
                    {
                        "IoU": parts.iou[1:],
                        "boundary_F": parts.boundary,
                        "APr50": parts.regions["one_to_one"][VOLUME.index(0.5)],
                        "APr50_de_facto": parts.regions["de_facto"][VOLUME.index(0.5)],
                    },
                ),
                "joints": _by_name(taxonomy.joint_names, joint_metrics(poses, taxonomy.joint_sigmas)),
            },
            "noise": f"intervals: 95 %, bootstrap over images, {RESAMPLES} resamples",
        }
    )


@dataclass(frozen=True)
class _PartTables:
    """Metrics of each part, NaN if it is neither labelled nor predicted."""

    iou: Float64  # [C+1], background first
    boundary: Float64  # [C]
    regions: dict[str, Float64]  # definition -> AP^r [T, C] at the thresholds of VOLUME


def _part_tables(images: Sequence[ImageMetrics], taxonomy: Taxonomy) -> _PartTables:
    classes = len(taxonomy.part_names) + 1
    matrix = sum((image.confusion for image in images), np.zeros((classes, classes), np.int64))
    contours = sum((image.part_contours for image in images), np.zeros((classes - 1, 4), np.int64))
    parts = [image.parts for image in images]
    return _PartTables(
        iou=class_ious(matrix),
        boundary=boundary_f(contours),
        regions={name: part_ap(parts, VOLUME, name == "one_to_one") for name in ("de_facto", "one_to_one")},
    )


def _part_metrics(images: Sequence[ImageMetrics], taxonomy: Taxonomy, tables: _PartTables) -> dict[str, Any]:
    people = [image.parts.people for image in images]
    return {
        "labels": _label_quality(images),
        "mIoU": mean(tables.iou),
        "IoU": dict(zip(("background", *taxonomy.part_names), tables.iou.tolist(), strict=True)),
        "APp50": average_precision(people, 0.5),
        "APpvol": float(np.mean([average_precision(people, threshold) for threshold in VOLUME])),
        "PCP50": pcp([image.parts for image in images]),
        "APr": {name: _region_metrics(ap) for name, ap in tables.regions.items()},
        "boundary_F": mean(tables.boundary),
    }


def _label_quality(images: Sequence[ImageMetrics]) -> str:
    """Describe how the part labels were made, as far as the sources tell."""
    sources = {image.source for image in images if len(image.poses.gt)}
    if sources <= {SYNTHETIC}:
        return "exact"
    if sources <= {SYNTHETIC, OWN, *TAXONOMIES}:  # the published sets are named so
        return "as annotated"
    return "not known to be exact: other models may have made them"


def _region_metrics(ap: Float64) -> dict[str, float]:
    """Average AP^r [T, C] over parts."""
    at = {f"APr{percent}": mean(ap[VOLUME.index(percent / 100)]) for percent in REGION_THRESHOLDS}
    return {**at, "APrvol": mean([mean(row) for row in ap])}


def _mask_metrics(images: Sequence[ImageMetrics]) -> dict[str, Any]:
    chosen = [image.tall & image.masks.countable for image in images]  # [n] of each image
    best = [image.masks.similarity[rows].max(axis=1, initial=0) for image, rows in zip(images, chosen, strict=True)]
    everyone = np.concatenate([np.zeros(0), *best])
    boundary = [image.mask_boundary[rows] for image, rows in zip(images, chosen, strict=True)]

    def mean_of(rows: Int64) -> float:
        return mean(np.concatenate([best[row] for row in rows]))

    return {
        "people": len(everyone),
        "mean_IoU": mean(everyone),
        "mean_IoU_interval": bootstrap(mean_of, len(best), RESAMPLES),
        "recall50": mean(everyone > 0.5),
        "boundary_F": mean(np.concatenate([np.zeros(0), *boundary])),
        **coco_ap([image.masks for image in images]),
    }


def _person_metrics(images: Sequence[ImageMetrics], taxonomy: Taxonomy) -> dict[str, Any]:
    false_people = [len(image.poses.found) for image in images if image.negative]
    errors = person_errors([image.poses for image in images], taxonomy.joint_sigmas, taxonomy.joint_flip)
    return {
        **dataclasses.asdict(errors),
        "negative_images": len(false_people),
        "true_negative_rate": mean([count == 0 for count in false_people]),
        "negative_false_positives": sum(false_people),
    }


def _joints_on_parts(images: Sequence[ImageMetrics]) -> dict[str, Any] | None:
    counts = [image.joints for image in images if image.joints is not None]
    if not counts:
        return None
    visible, any_part, either, own = np.sum(counts, axis=0).tolist()
    share = 1 / visible if visible else float("nan")
    return {
        "visible": visible,
        "on_any_part": any_part * share,
        "on_correct_part": either * share,
        "on_correct_side": own * share,
    }


def _by_name(names: Sequence[str], columns: dict[str, Float64]) -> dict[str, dict[str, float]]:
    return {name: {column: float(values[i]) for column, values in columns.items()} for i, name in enumerate(names)}


def plain(value: Any) -> Any:
    """Round floats to 4 digits and replace NaN by None, recursively."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value
