"""AP^r: average precision of part instances, that is of each part of each person as a mask of its own.

A part instance is ranked by the parser's score of the part. Two definitions are in use; the paper does not say which
is behind its Table 3:

    de facto    the scripts by which PASCAL-Person-Part and CIHP are compared (CIHP_PGN's and its successors): a
                prediction is correct if its IoU with any labelled instance exceeds the threshold. Duplicates are
                correct too, so that the value may exceed 1.
    one-to-one  the definition of Hariharan et al., ECCV 2014: in the order of scores, each prediction takes the
                instance it overlaps most of those that are still free.

Differs from the scripts: a class without labels has no value and is left out of the mean (CIHP_PGN makes the mean NaN
if it was predicted and counts 0 if it was not); of equal scores the earlier image comes first (it takes the later); an
instance mostly on unknown pixels that finds nothing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.data.samples import Bool
from training.evaluation.metrics.parts import PersonParts
from training.evaluation.metrics.people import precision_area
from training.evaluation.metrics.pixels import Float64


def part_ap(images: Sequence[PersonParts], thresholds: Sequence[float], one_to_one: bool) -> Float64:
    """Return AP^r [T, C] at each IoU threshold, of each part; NaN for a part without labels."""
    if not images:
        return np.full((len(thresholds), 0), np.nan)
    find = _find_once if one_to_one else _find_any
    limits = np.asarray(thresholds, float)[:, None]  # [T, 1]
    parts = images[0].present.shape[1]
    hits = np.concatenate([find(image, limits) for image in images], axis=1)  # [T, M, C], M predicted people
    found, dt_ignore, score = (
        np.concatenate([getattr(image, name) for image in images]) for name in ("found", "dt_ignore", "part_score")
    )  # [M, C]
    positives = np.concatenate([image.present for image in images]).sum(axis=0)  # [C]
    result = np.empty((len(thresholds), parts))
    for c in range(parts):
        rows = found[:, c]
        for t in range(len(thresholds)):
            result[t, c] = precision_area(hits[t, rows, c], dt_ignore[rows, c], score[rows, c], int(positives[c]))
    return result


def _overlap(image: PersonParts) -> Float64:
    """Return IoU [n, m, C] of instances that both exist; -1 elsewhere."""
    return np.where(image.present[:, None] & image.found, image.ious[:, :, 1:], -1.0)


def _find_any(image: PersonParts, limits: Float64) -> Bool:
    """Return the predicted instances [T, m, C] whose IoU with any labelled one exceeds the limit."""
    return _overlap(image).max(axis=0, initial=-1.0) > limits[..., None]


def _find_once(image: PersonParts, limits: Float64) -> Bool:
    """Match predicted to labelled instances one to one: bool [T, m, C] for all thresholds and parts."""
    overlap, (n, parts), m = _overlap(image), image.present.shape, len(image.found)
    hits = np.zeros((len(limits), m, parts), bool)
    if not n:
        return hits
    free = np.ones((len(limits), n, parts), bool)
    order = np.argsort(-image.part_score, axis=0, kind="stable")  # [m, C]
    for ranked in order:  # [C], this rank's person for each part
        offered = np.where(free, overlap[:, ranked, np.arange(parts)], -1.0)  # [T, n, C]
        best = offered.argmax(axis=1)[:, None]  # [T, 1, C]
        enough = np.take_along_axis(offered, best, axis=1)[:, 0] > limits  # [T, C]
        hits[:, ranked, np.arange(parts)] = enough
        threshold, part = np.nonzero(enough)
        free[threshold, best[threshold, 0, part], part] = False
    return hits
