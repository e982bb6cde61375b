"""Accuracy of pixels: parts, person masks, parts of people. Pure functions on the arrays of one photo or of many.

Maps are [H, W] in the photo's pixels: parts 0 background, 1..C; people 0 nobody, i = row i-1; 255 unknown in labels
only. Predicted people come by falling score. What has no value (no labels of the kind) is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.taxonomy import IGNORE, Taxonomy
from training.samples import Bool, Float32, UInt8

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

VOLUME = tuple(step / 10 for step in range(1, 10))  # thresholds over which APpvol averages

# Taxonomy -> joint -> parts it may lie on, sides left out: a joint between two segments belongs to both.
JOINT_PARTS = {
    "densepose_coco": {
        "nose": ("head",),
        "eye": ("head",),
        "ear": ("head",),
        "shoulder": ("torso", "upper_arm"),
        "elbow": ("upper_arm", "lower_arm"),
        "wrist": ("lower_arm", "hand"),
        "hip": ("torso", "upper_leg"),
        "knee": ("upper_leg", "lower_leg"),
        "ankle": ("lower_leg", "foot"),
    }
}


@dataclass(frozen=True)
class Instances:
    """The people of one photo, labelled (n) and predicted (m), compared by what they cover."""

    similarity: Float64  # [n, m] in [0, 1]
    score: Float32  # [m], falling
    countable: Bool  # [n], has pixels whose label is known
    excused: Bool  # [m], lies mostly on unknown pixels: where it matches nobody, it is no false person either


def confusion(truth: UInt8, predicted: UInt8, classes: int) -> Int64:
    """Pixels [classes, classes] by labelled (row) and predicted (column) class; unknown ones are left out."""
    known = truth != IGNORE
    pairs = truth[known].astype(np.int64) * classes + predicted[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def class_ious(matrix: Int64) -> Float64:
    """IoU of each class of a confusion matrix; NaN for a class that is neither labelled nor predicted."""
    shared = np.diag(matrix).astype(float)
    return _ratio(shared, matrix.sum(axis=0) + matrix.sum(axis=1) - shared)


def compare_masks(truth: UInt8, predicted: UInt8, has_mask: Bool, score: Float32) -> Instances:
    """People by IoU of their masks, over pixels whose owner is known."""
    n, m = len(has_mask), len(score)
    table = _overlaps(truth, predicted, truth != IGNORE, n, m)
    union = table.sum(axis=1, keepdims=True) + table.sum(axis=0) - table
    return Instances(
        similarity=np.nan_to_num(_ratio(table, union)[1:, 1:]),
        score=score,
        countable=has_mask & (table[1:].sum(axis=1) > 0),
        excused=_mostly_unknown(predicted, truth == IGNORE, m),
    )


@dataclass(frozen=True)
class PersonParts:
    """As `Instances`, whose similarity is the mean of `ious` over the classes present in either person."""

    people: Instances
    ious: Float64  # [n, m, C+1], background first; NaN where neither has the class
    present: Bool  # [n, C], the person's labelled parts


def compare_parts(
    truth: tuple[UInt8, UInt8], predicted: tuple[UInt8, UInt8], count: int, score: Float32, parts: int
) -> PersonParts:
    """Every labelled with every predicted person as two maps of C + 1 classes over the whole photo.

    `truth` and `predicted` are (parts, people), `count` is n and `parts` C. A pixel whose part or owner is unknown is
    left out of everybody's.
    """
    (truth_parts, truth_people), (part_map, person_map) = truth, predicted
    m, known = len(score), (truth_parts != IGNORE) & (truth_people != IGNORE)
    same = np.stack(
        [_overlaps(truth_people, person_map, known & (truth_parts == c) & (part_map == c), count, m)[1:, 1:]
         for c in range(1, parts + 1)], axis=-1,
    ).astype(float)  # [n, m, C]  # fmt: skip
    size_truth = _overlaps(truth_people, truth_parts, known, count, parts)[1:, 1:]  # [n, C]
    size_predicted = _overlaps(person_map, part_map, known, m, parts)[1:, 1:]  # [m, C]
    ious = _ratio(same, size_truth[:, None] + size_predicted - same)

    parts_meet = known & (truth_parts > 0) & (part_map > 0)
    both = _overlaps(truth_people, person_map, parts_meet, count, m)[1:, 1:]  # [n, m]
    total, covered = known.sum(), size_truth.sum(axis=1)[:, None] + size_predicted.sum(axis=1)
    neither, not_both = total - (covered - both), total - both  # intersection and union of the two backgrounds
    ious = np.concatenate([_ratio(neither, not_both)[..., None], ious], axis=-1)  # [n, m, C+1]
    mean = np.nansum(ious, axis=-1) / np.maximum((~np.isnan(ious)).sum(axis=-1), 1)
    people = Instances(mean, score, size_truth.sum(axis=1) > 0, _mostly_unknown(person_map, ~known, m))
    return PersonParts(people, ious, size_truth > 0)


def match(people: Instances, threshold: float) -> Int64:
    """The labelled person [m] that each prediction finds, or -1.

    In the order of their scores, each takes the person it resembles most (of countable ones, more than `threshold`).
    Invariant: nobody is found twice; who comes second finds nobody, not the next best (as the MHP v2 evaluation).
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


def average_precision(photos: Sequence[Instances], threshold: float) -> float:
    """Area under the precision envelope over all photos' people (all points, as PASCAL VOC 2010)."""
    positives = sum(int(people.countable.sum()) for people in photos)
    if not positives:
        return float("nan")
    hits, scores = [np.zeros(0, bool)], [np.zeros(0, np.float32)]
    for people in photos:
        hit = match(people, threshold) >= 0
        judged = hit | ~people.excused
        hits.append(hit[judged])
        scores.append(people.score[judged])
    hit = np.concatenate(hits)[np.argsort(-np.concatenate(scores), kind="stable")]
    true = hit.cumsum()
    precision = true / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * hit).sum() / positives)


def correct_parts(photos: Sequence[PersonParts], threshold: float = 0.5) -> float:
    """PCP: the share of a person's parts whose IoU exceeds `threshold`, meaned over people; 0 for who is not found."""
    shares: list[float] = []
    for photo in photos:
        share = np.zeros(len(photo.present))
        for i, row in enumerate(match(photo.people, threshold)):
            if row >= 0:
                right = np.nan_to_num(photo.ious[row, i, 1:]) > threshold
                share[row] = (right & photo.present[row]).sum() / photo.present[row].sum()
        shares += share[photo.people.countable].tolist()
    return float(np.mean(shares)) if shares else float("nan")


def joint_part_tables(taxonomy: Taxonomy) -> tuple[Bool, Bool] | None:
    """For each joint the parts [K, C+1] it may lie on: those of either side, and those of its own.

    None where `JOINT_PARTS` does not know the taxonomy.
    """
    table = JOINT_PARTS.get(taxonomy.name)
    if table is None:
        return None
    either = np.zeros((len(taxonomy.joint_names), len(taxonomy.part_names) + 1), bool)
    own = either.copy()
    for k, joint in enumerate(taxonomy.joint_names):
        side, joint = _side_and_name(joint)
        for c, part in enumerate(taxonomy.part_names, start=1):
            part_side, part = _side_and_name(part)
            either[k, c] = part in table[joint]
            own[k, c] = either[k, c] and part_side in ("", side)
    return either, own


def joints_on_parts(keypoints: Float32, part_map: UInt8, tables: tuple[Bool, Bool]) -> Int64:
    """Of the visible labelled joints of `keypoints` [n, K, 3]: how many there are; lie on any part; on one of theirs;
    on one of theirs of the right side.
    """
    rows, joints = np.nonzero(keypoints[:, :, 2] == 2)
    xy = np.rint(keypoints[rows, joints, :2]).astype(int)
    xy = np.clip(xy, 0, np.array(part_map.shape[::-1]) - 1)
    part = part_map[xy[:, 1], xy[:, 0]]
    either, own = tables
    return np.array([len(rows), (part > 0).sum(), either[joints, part].sum(), own[joints, part].sum()])


def bootstrap(statistic: Callable[[Int64], float], photos: int, resamples: int = 200, seed: int = 0) -> list[float]:
    """95 % interval of `statistic`, a function of the indices of photos drawn with replacement."""
    rng = np.random.default_rng(seed)
    values = [statistic(rng.integers(photos, size=photos)) for _ in range(resamples)] if photos else []
    values = [value for value in values if not np.isnan(value)]
    return [float(v) for v in np.percentile(values, [2.5, 97.5])] if values else [float("nan")] * 2


def _overlaps(first: UInt8, second: UInt8, chosen: Bool, n: int, m: int) -> Int64:
    """Chosen pixels [n+1, m+1] by their values in two maps of values 0..n and 0..m."""
    pairs = first[chosen].astype(np.int64) * (m + 1) + second[chosen]
    return np.bincount(pairs, minlength=(n + 1) * (m + 1)).reshape(n + 1, m + 1)


def _mostly_unknown(predicted: UInt8, unknown: Bool, m: int) -> Bool:
    everywhere = np.bincount(predicted.ravel(), minlength=m + 1)[1:]
    return np.bincount(predicted[unknown], minlength=m + 1)[1:] * 2 > everywhere


def _ratio(part: NDArray[np.generic], whole: NDArray[np.generic]) -> Float64:
    """Quotient in float64, NaN where `whole` is 0."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole > 0)


def _side_and_name(name: str) -> tuple[str, str]:
    side, _, rest = name.partition("_")
    return (side, rest) if side in ("left", "right") else ("", name)
