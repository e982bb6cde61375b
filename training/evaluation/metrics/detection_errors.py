"""Detection errors of people: missed, duplicate, inverted (left and right exchanged), false positive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics.pixels import Float64
from training.evaluation.metrics.poses import FOUND, Poses, oks, pairs

NOTABLE = 64  # pixels: only taller people count as missed
SAME = 0.5  # OKS above which two predictions are of one person


@dataclass(frozen=True)
class PersonErrors:
    """Detection errors of people, counted over images."""

    notable: int = 0  # labelled people taller than NOTABLE
    missed: int = 0  # of them, with no prediction of OKS > FOUND
    labelled: int = 0  # people with labelled joints
    duplicates: int = 0  # of them, the nearest of more than one prediction of OKS > SAME
    matched: int = 0  # pairs of a person and a prediction, with left and right as they are or exchanged
    inversions: int = 0  # of them, more similar with left and right exchanged
    false_positives: int = 0  # predictions that match nobody and do not lie on unknown pixels


def person_errors(images: Sequence[Poses], sigmas: Sequence[float], joint_flip: Sequence[int]) -> PersonErrors:
    """Count detection errors; `joint_flip` [K] is each joint's index after exchanging left and right."""
    total = np.zeros(7, int)
    for image in images:
        labelled = image.labelled
        gt, area = image.gt[labelled], image.area[labelled]
        notable = image.height[labelled] > NOTABLE
        straight = oks(gt, area, image.found, sigmas)  # [n, m]
        flipped = oks(gt[:, list(joint_flip)], area, image.found, sigmas)
        best = np.maximum(straight, flipped)
        missed = notable & ~(straight > FOUND).any(axis=1)
        duplicates = _nearest(straight, SAME) > 1
        paired = pairs(best)
        inversions = sum(flipped[pair] > straight[pair] for pair in paired)
        false_positives = ~(best > FOUND).any(axis=0) & ~image.dt_ignore
        total += [
            notable.sum(), missed.sum(), len(gt), duplicates.sum(), len(paired), inversions, false_positives.sum(),
        ]  # fmt: skip
    return PersonErrors(*total.tolist())


def _nearest(similarity: Float64, least: float) -> NDArray[np.int64]:
    """Count the predictions [n] whose best match is this person, with a similarity above `least`."""
    n = len(similarity)
    if not similarity.size:
        return np.zeros(n, np.int64)
    return np.bincount(similarity.argmax(axis=0)[similarity.max(axis=0) > least], minlength=n)
