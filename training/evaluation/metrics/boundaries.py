"""Boundary F-score: agreement of contours within a few pixels (after DAVIS, Perazzi et al., CVPR 2016).

A pixel is on the contour of its region if one of its four neighbors is not in the region; the image border is no
contour, nor is the border to unknown pixels. Contours agree within 0.8 % of the image diagonal, rounded up. Predicted
contours without agreement count only at known labels, farther than that from unknown pixels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from model.taxonomy import BACKGROUND, IGNORE
from training.data.samples import Bool, UInt8
from training.evaluation.metrics.people import Instances
from training.evaluation.metrics.pixels import Float64, Int64, ratio

Points = NDArray[np.int64]  # [p, 3]: region, row, column

TOLERANCE = 0.008  # of the diagonal


def part_contours(gt: UInt8, predicted: UInt8, parts: int) -> Int64:
    """Count contour pixels [C, 4] of each part of all people: labelled, of them found; judged, of them correct.

    Add the counts of images and pass them to `boundary_f`.
    """
    return _count(gt, contours(gt), contours(predicted), parts)


def mask_boundary_f(gt: UInt8, predicted: UInt8, people: Instances) -> Float64:
    """Return F [n] of each labelled person's mask and the most similar predicted one; 0 without one, NaN if unknown."""
    n, m = people.similarity.shape
    labelled, found = contours(gt), contours(predicted)
    rival = people.similarity.argmax(axis=1) + 1 if m else np.zeros(n, int)  # [n], as in the map
    rival[people.similarity.max(axis=1, initial=0) == 0] = -1
    # A prediction may be the best of several people: each gets a copy of its contour.
    copies = [np.insert(found[found[:, 0] == rival[row], 1:], 0, row + 1, axis=1) for row in range(n)]
    found = np.concatenate([np.zeros((0, 3), np.int64), *copies])
    counts = _count(gt, labelled, found, n)
    return np.where(people.countable, boundary_f(counts), np.nan)


def boundary_f(counts: Int64) -> Float64:
    """Return F = 2 precision recall / (precision + recall) of counts [..., 4]; NaN if neither side has a contour."""
    labelled, recalled, judged, right = np.moveaxis(counts, -1, 0)
    precision, recall = np.nan_to_num(ratio(right, judged)), np.nan_to_num(ratio(recalled, labelled))
    f = np.nan_to_num(ratio(2 * precision * recall, precision + recall))
    return np.where(labelled + judged > 0, f, np.nan)


def contours(regions: UInt8) -> Points:
    """Return the contour pixels of all regions of a map, in which 0 is none and 255 unknown."""
    edge = np.zeros(regions.shape, bool)
    for first, second in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (regions[first] != regions[second]) & (regions[first] != IGNORE) & (regions[second] != IGNORE)
        edge[first] |= differ
        edge[second] |= differ
    pixels = np.flatnonzero(edge)
    region = regions.ravel()[pixels]
    rows, columns = np.divmod(pixels, regions.shape[1])
    return np.stack([region, rows, columns], axis=1)[region != BACKGROUND]


def tolerance(size: tuple[int, ...]) -> int:
    """Return the distance in pixels within which contours of an image of that size agree."""
    return math.ceil(TOLERANCE * math.hypot(*size))


def _count(gt: UInt8, labelled: Points, found: Points, regions: int) -> Int64:
    """Count points [regions, 4] of each region: labelled, of them found; judged, of them correct."""
    limit = tolerance(gt.shape)
    recalled, right = _near(labelled, found, limit), _near(found, labelled, limit)
    unknown = gt == IGNORE
    judged = np.ones(len(found), bool)
    if unknown.any():
        # The nearest unknown pixel of a known one is on the edge of the unknown region.
        edge, wrong = contours(unknown.astype(np.uint8)), np.flatnonzero(~right)
        places = found[wrong] * (0, 1, 1) + (1, 0, 0)
        judged[wrong] = ~(unknown[places[:, 1], places[:, 2]] | _near(places, edge, limit))
    counted = (labelled, labelled[recalled], found[judged], found[right])
    return np.stack([np.bincount(points[:, 0], minlength=regions + 1)[1:] for points in counted], axis=1)


def _near(points: Points, others: Points, limit: int) -> Bool:
    """Return bool [p]: `points` within `limit` pixels of one of `others` in the same region."""
    if not len(points) or not len(others):
        return np.zeros(len(points), bool)
    apart = (2 * limit + 2, 1, 1)  # puts other regions out of reach
    # There are few queries per tree: an unbalanced tree, which is faster to build, takes half the time.
    tree = KDTree(others * apart, leafsize=32, compact_nodes=False, balanced_tree=False)
    distance, _ = tree.query(points * apart, distance_upper_bound=limit + 0.5)
    return distance <= limit
