"""Parts of people: AP^p and PCP of the MHP v2 benchmark.

A labelled and a predicted person are compared as two maps of C + 1 classes over the whole image. Their similarity is
the mean IoU over the classes present in either, background included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.taxonomy import IGNORE
from training.data.samples import Bool, Float32, UInt8
from training.evaluation.metrics.people import Instances, match, mostly_unknown
from training.evaluation.metrics.pixels import Float64, Int64, overlaps, ratio

VOLUME = tuple(step / 10 for step in range(1, 10))  # thresholds over which APpvol and APrvol average


@dataclass(frozen=True)
class PersonParts:
    """Comparison of people, whose similarity is the mean of `ious` over the classes present in either person."""

    people: Instances
    ious: Float64  # [n, m, C+1], background first; NaN where neither has the class
    present: Bool  # [n, C], the person's labelled parts
    found: Bool  # [m, C], the person's predicted parts
    dt_ignore: Bool  # [m, C], the part lies mostly on unknown pixels
    part_score: Float32  # [m, C]


def compare_parts(
    gt: tuple[UInt8, UInt8], predicted: tuple[UInt8, UInt8], count: int, score: Float32, part_score: Float32
) -> PersonParts:
    """Compare every labelled with every predicted person.

    `gt` and `predicted` are (parts, people), `count` is n, `part_score` [m, C]. Pixels with an unknown part or person
    are left out.
    """
    (gt_parts, gt_people), (part_map, person_map) = gt, predicted
    (m, parts), known = part_score.shape, (gt_parts != IGNORE) & (gt_people != IGNORE)
    size_gt = overlaps(gt_people, gt_parts, known, count, parts)[1:, 1:]  # [n, C]
    size_predicted = overlaps(person_map, part_map, known, m, parts)[1:, 1:]  # [m, C]
    meeting, both = _common_pixels(gt, predicted, known, (count, m, parts))  # [n, m, C], [n, m]
    ious = ratio(meeting, size_gt[:, None] + size_predicted - meeting)

    total, covered = known.sum(), size_gt.sum(axis=1)[:, None] + size_predicted.sum(axis=1)
    neither, not_both = total - (covered - both), total - both  # intersection and union of the two backgrounds
    ious = np.concatenate([ratio(neither, not_both)[..., None], ious], axis=-1)  # [n, m, C+1]
    mean = np.nansum(ious, axis=-1) / np.maximum((~np.isnan(ious)).sum(axis=-1), 1)

    everywhere = overlaps(person_map, part_map, person_map > 0, m, parts)[1:, 1:]  # [m, C]
    dt_ignore = mostly_unknown(everywhere.sum(axis=1), size_predicted.sum(axis=1))
    return PersonParts(
        people=Instances(mean, score, size_gt.sum(axis=1) > 0, dt_ignore),
        ious=ious,
        present=size_gt > 0,
        found=size_predicted > 0,
        dt_ignore=mostly_unknown(everywhere, size_predicted),
        part_score=part_score,
    )


def pcp(images: Sequence[PersonParts], threshold: float = 0.5) -> float:
    """Return PCP: the share of a person's parts with an IoU above `threshold`, averaged over people; 0 if not found."""
    shares: list[float] = []
    for image in images:
        share = np.zeros(len(image.present))
        for i, row in enumerate(match(image.people, threshold)):
            if row >= 0:
                right = np.nan_to_num(image.ious[row, i, 1:]) > threshold
                share[row] = (right & image.present[row]).sum() / image.present[row].sum()
        shares += share[image.people.countable].tolist()
    return float(np.mean(shares)) if shares else float("nan")


def likeness(image: PersonParts) -> float:
    """Score the prediction of one image, to rank images by; NaN if there are neither people nor false positives.

    The score is a mean over labelled people and over predicted ones without `dt_ignore`: the best mean IoU of parts
    (of those present in either, without background) with a person of the other side. Missed people and false positives
    count 0.
    """
    ious = image.ious[image.people.countable][:, :, 1:]
    alike = np.nansum(ious, axis=-1) / np.maximum((~np.isnan(ious)).sum(axis=-1), 1)  # [labelled, m]
    best_found, best_labelled = alike.max(axis=1, initial=0), alike.max(axis=0, initial=0)[~image.people.dt_ignore]
    both = np.concatenate([best_found, best_labelled])
    return float(both.mean()) if both.size else float("nan")


def _common_pixels(
    gt: tuple[UInt8, UInt8], predicted: tuple[UInt8, UInt8], known: Bool, sizes: tuple[int, int, int]
) -> tuple[Int64, Int64]:
    """Count the pixels [n, m, C] that both people give the same part, and [n, m] that both give any part."""
    (gt_parts, gt_people), (part_map, person_map) = gt, predicted
    n, m, parts = sizes
    meeting = known & (gt_parts > 0) & (part_map > 0)
    labelled, person, part = gt_people[meeting], person_map[meeting], gt_parts[meeting]
    pair = labelled.astype(np.int64) * (m + 1) + person
    both = np.bincount(pair, minlength=(n + 1) * (m + 1)).reshape(n + 1, m + 1)
    alike = part == part_map[meeting]
    triple = pair[alike] * (parts + 1) + part[alike]
    same = np.bincount(triple, minlength=(n + 1) * (m + 1) * (parts + 1)).reshape(n + 1, m + 1, parts + 1)
    return same[1:, 1:, 1:], both[1:, 1:]
