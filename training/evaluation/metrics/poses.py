"""Accuracy of joints: COCO's keypoint AP, and recall and error of each joint.

Joints are [n, K, 3] in image pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.two_scales import match_greedily
from training.data.samples import Bool, Float32
from training.evaluation.metrics.averages import bootstrap, mean
from training.evaluation.metrics.coco import ALL, CocoEvaluation, Detections
from training.evaluation.metrics.pixels import Float64, Int64, ratio

TALL = 96  # pixels: taller people count for AP_h96
FOUND = 0.3  # OKS (object keypoint similarity) above which a prediction finds a person
PLACED = 0.5  # similarity above which a joint is correct: within 1.18 of its k sqrt(area), k = 2 sigma
MAX_PEOPLE = 20  # predictions per image that COCO evaluates
MEDIUM, LARGE = (32**2, 96**2), (96**2, 1e10)  # COCO's, square pixels


@dataclass(frozen=True)
class Poses:
    """Labelled (n) and predicted (m) joints of one image. Areas in square pixels, heights in pixels."""

    gt: Float32  # [n, K, 3], x, y, v; v > 0 is labelled
    area: Float64  # [n]
    height: Float64  # [n]
    found: Float32  # [m, K, 3], x, y, score; 0 = not found
    score: Float32  # [m], falling
    found_area: Float64  # [m]
    found_height: Float64  # [m]
    dt_ignore: Bool  # [m], mostly on unknown pixels: not a false positive if it matches nobody

    @property
    def labelled(self) -> Bool:
        """Bool [n]: people with a labelled joint; the others can be neither found nor missed."""
        return np.any(self.gt[:, :, 2] > 0, axis=1)


def joint_similarity(gt: Float32, area: Float64, found: Float32, sigmas: Sequence[float]) -> Float64:
    """Return exp(-d^2 / (2 area (2 sigma)^2)) [n, m, K] of each joint; 0 if it is not labelled or not found."""
    square = ((gt[:, None, :, :2].astype(float) - found[None, :, :, :2]) ** 2).sum(axis=-1)  # [n, m, K]
    spread = 2 * (2 * np.asarray(sigmas)) ** 2 * np.maximum(area, 1)[:, None, None]  # [n, 1, K]
    return np.exp(-square / spread) * (found[:, :, 2] > 0) * (gt[:, None, :, 2] > 0)


def oks(gt: Float32, area: Float64, found: Float32, sigmas: Sequence[float]) -> Float64:
    """Return the object keypoint similarity (OKS) [n, m]: the mean of `joint_similarity` over the labelled joints."""
    labelled = (gt[:, :, 2] > 0).sum(axis=1)[:, None]  # [n, 1]
    return joint_similarity(gt, area, found, sigmas).sum(axis=-1) / np.maximum(labelled, 1)


def keypoint_ap(images: Sequence[Poses], sigmas: Sequence[float], resamples: int = 200) -> dict[str, Any]:
    """Compute COCO's keypoint AP (OKS .50:.95), AP50, AP75, AR, AP by size, and a bootstrap interval of AP over images.

    Differs from COCO: people without labelled joints are left out, and predictions that match nobody and lie on
    unknown pixels are ignored, in place of crowd boxes; a joint that was not found counts 0 wherever it is. `AP_h96`
    and `AP50_h96` are over people taller than `TALL`.
    """
    images = [p for p in images if len(p.gt) or len(p.found)]
    if not any(p.labelled.any() for p in images):
        names = ("AP", "AP50", "AP75", "AR", "AP_medium", "AP_large", "AP_h96", "AP50_h96")
        return {**dict.fromkeys(names, float("nan")), "AP_interval": [float("nan")] * 2}
    people = [_detections(image, sigmas) for image in images]
    tall = [_detections(image, sigmas, lowest=TALL) for image in images]
    everyone = CocoEvaluation(people, (ALL, MEDIUM, LARGE), MAX_PEOPLE)
    precision = everyone.precision()  # [T, R, A]
    precision_tall = CocoEvaluation(tall, (ALL,), MAX_PEOPLE).precision()  # [T, R, 1]
    resampled = CocoEvaluation(people, (ALL,), MAX_PEOPLE)
    return {
        "AP": mean(precision[:, :, 0]),
        "AP50": mean(precision[0, :, 0]),
        "AP75": mean(precision[5, :, 0]),
        "AR": mean(everyone.recall()[:, 0]),
        "AP_medium": mean(precision[:, :, 1]),
        "AP_large": mean(precision[:, :, 2]),
        "AP_h96": mean(precision_tall),
        "AP50_h96": mean(precision_tall[0]),
        "AP_interval": bootstrap(lambda rows: mean(resampled.precision(rows)), len(images), resamples),
    }


def ap_difference(
    images: Sequence[Poses], others: Sequence[Poses], sigmas: Sequence[float], resamples: int = 200
) -> tuple[float, list[float]]:
    """Return AP of `images` minus that of `others`, the same images parsed differently, in the same order.

    The bootstrap interval draws images for both at once: what is hard for both cancels out.
    """
    first, second = (
        CocoEvaluation([_detections(p, sigmas) for p in row], (ALL,), MAX_PEOPLE) for row in (images, others)
    )

    def difference(rows: Int64) -> float:
        return mean(first.precision(rows)) - mean(second.precision(rows))

    return difference(np.arange(len(images))), bootstrap(difference, len(images), resamples)


def joint_metrics(images: Sequence[Poses], sigmas: Sequence[float]) -> dict[str, Float64]:
    """Compute metrics [K] of each joint; NaN if nobody has it labelled, or found.

    People and predictions are matched one to one by OKS, the most similar first, above `FOUND`.
        recall        share of the labelled joints that the person's prediction has, with a similarity above `PLACED`
        median_error  distance over the square root of the person's area, median over the labelled joints that the
                      person's prediction has, at any distance
    """
    joints = len(sigmas)
    labelled, placed = np.zeros(joints, int), np.zeros(joints, int)
    errors = [np.full((1, joints), np.nan)]  # [paired people, K] of each image
    for image in images:
        similarity = joint_similarity(image.gt, image.area, image.found, sigmas)  # [n, m, K]
        labelled += (image.gt[:, :, 2] > 0).sum(axis=0)
        for row, column in pairs(oks(image.gt, image.area, image.found, sigmas)):
            gt, found = image.gt[row], image.found[column]
            placed += similarity[row, column] > PLACED
            error = np.hypot(*(gt[:, :2] - found[:, :2]).T) / np.sqrt(max(image.area[row], 1))
            errors.append(np.where((gt[:, 2] > 0) & (found[:, 2] > 0), error, np.nan)[None])
    table = np.concatenate(errors).T  # [K, 1 + paired people]
    median = [float(np.median(row[~np.isnan(row)])) if (~np.isnan(row)).any() else float("nan") for row in table]
    return {"recall": ratio(placed, labelled), "median_error": np.array(median)}


def pairs(similarity: Float64) -> list[tuple[int, int]]:
    """Return one-to-one pairs (person, prediction) above `FOUND`, the most similar first."""
    return match_greedily(similarity, FOUND)


def _detections(image: Poses, sigmas: Sequence[float], lowest: float = -1) -> Detections:
    """Convert one image to COCO's terms; people no taller than `lowest` are ignored on both sides."""
    labelled = image.labelled
    return Detections(
        similarity=oks(image.gt[labelled], image.area[labelled], image.found, sigmas),
        area=image.area[labelled],
        gt_valid=image.height[labelled] > lowest,
        score=image.score,
        found_area=image.found_area,
        dt_ignore=image.dt_ignore | (image.found_height <= lowest),
    )
