"""People of one image, labelled and predicted, compared by their pixels, and their average precision.

Two definitions are in use: MHP v2's (`average_precision`) and COCO's (`coco_ap`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.taxonomy import IGNORE
from training.data.samples import Bool, Float32, UInt8
from training.evaluation.metrics.averages import mean
from training.evaluation.metrics.coco import ALL, CocoEvaluation, Detections
from training.evaluation.metrics.pixels import Float64, Int64, overlaps, ratio

MAX_MASKS = 100  # predictions per image that COCO evaluates


@dataclass(frozen=True)
class Instances:
    """The people of one image, labelled (n) and predicted (m), with their similarity."""

    similarity: Float64  # [n, m] in [0, 1]
    score: Float32  # [m], falling
    countable: Bool  # [n], has pixels with a known label
    dt_ignore: Bool  # [m], lies mostly on unknown pixels: not a false positive if it matches nobody


def compare_masks(gt: UInt8, predicted: UInt8, has_mask: Bool, score: Float32) -> Instances:
    """Compare people by IoU of their masks, over pixels with a known person."""
    n, m = len(has_mask), len(score)
    table = overlaps(gt, predicted, gt != IGNORE, n, m)
    union = table.sum(axis=1, keepdims=True) + table.sum(axis=0) - table
    everywhere = np.bincount(predicted.ravel(), minlength=m + 1)[1:]
    return Instances(
        similarity=np.nan_to_num(ratio(table, union)[1:, 1:]),
        score=score,
        countable=has_mask & (table[1:].sum(axis=1) > 0),
        dt_ignore=mostly_unknown(everywhere, table.sum(axis=0)[1:]),
    )


def mostly_unknown(everywhere: Int64, known: Int64) -> Bool:
    """Return which regions have more than half of their pixels in ignore regions; False for empty ones."""
    return (everywhere - known) * 2 > everywhere


def match(people: Instances, threshold: float) -> Int64:
    """Return the labelled person [m] that each prediction finds, or -1.

    In the order of their scores, each takes the most similar person (of countable ones, above `threshold`). Invariant:
    nobody is found twice; a later prediction of the same person finds nobody, not the next best (as in the MHP v2
    evaluation).
    """
    owner = np.full(len(people.score), -1)
    if not people.countable.any():
        return owner
    similarity = np.where(people.countable[:, None], people.similarity, -1.0)
    for i in range(len(owner)):
        best = int(similarity[:, i].argmax())
        if similarity[best, i] > threshold and best not in owner[:i]:
            owner[i] = best
    return owner


def average_precision(images: Sequence[Instances], threshold: float) -> float:
    """Return the average precision of all images' people, found as in `match`; NaN without labelled people."""
    hits, dt_ignore, scores = [np.zeros(0, bool)], [np.zeros(0, bool)], [np.zeros(0, np.float32)]
    for people in images:
        hits.append(match(people, threshold) >= 0)
        dt_ignore.append(people.dt_ignore)
        scores.append(people.score)
    positives = sum(int(people.countable.sum()) for people in images)
    return precision_area(np.concatenate(hits), np.concatenate(dt_ignore), np.concatenate(scores), positives)


def precision_area(hit: Bool, dt_ignore: Bool, score: Float32, positives: int) -> float:
    """Return the area under the precision envelope (all points, as PASCAL VOC 2010) of predictions in any order.

    A prediction with `dt_ignore` that is no hit is left out. Of equal scores the earlier comes first. NaN without
    positives.
    """
    if not positives:
        return float("nan")
    judged = hit | ~dt_ignore
    hit = hit[judged][np.argsort(-score[judged], kind="stable")]
    precision = hit.cumsum() / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * hit).sum() / positives)


def coco_ap(images: Sequence[Instances]) -> dict[str, float]:
    """Return COCO's segm AP (IoU .50:.95), AP50 and AP75, people of all sizes; NaN without labelled people.

    In the order of their scores, each prediction takes the most similar person that is still free, with at least the
    threshold; the precision envelope is sampled at 101 recalls. Unknown pixels and `dt_ignore` take the place of
    COCO's crowds.
    """
    people = [
        Detections(
            similarity=image.similarity[image.countable],
            area=np.ones(int(image.countable.sum())),
            gt_valid=np.ones(int(image.countable.sum()), bool),
            score=image.score,
            found_area=np.ones(len(image.score)),
            dt_ignore=image.dt_ignore,
        )
        for image in images
    ]
    if not any(len(image.area) for image in people):
        return dict.fromkeys(("AP", "AP50", "AP75"), float("nan"))
    precision = CocoEvaluation(people, (ALL,), MAX_MASKS).precision()[:, :, 0]  # [T, R]
    return {"AP": mean(precision), "AP50": mean(precision[0]), "AP75": mean(precision[5])}
