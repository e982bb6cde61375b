"""Pixel counts by class: the confusion matrix of mIoU, and helpers of the other metrics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.taxonomy import IGNORE
from training.data.samples import Bool, UInt8

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def confusion(gt: UInt8, predicted: UInt8, classes: int) -> Int64:
    """Count pixels [classes, classes] by labelled (row) and predicted (column) class; unknown ones are left out."""
    return overlaps(gt, predicted, gt != IGNORE, classes - 1, classes - 1)


def class_ious(matrix: Int64) -> Float64:
    """Return the IoU of each class of a confusion matrix; NaN for a class that is neither labelled nor predicted.

    mIoU is the mean of the others, background included (as RP-R-CNN's script; some count an absent class as 0).
    """
    shared = np.diag(matrix).astype(float)
    return ratio(shared, matrix.sum(axis=0) + matrix.sum(axis=1) - shared)


def overlaps(first: UInt8, second: UInt8, chosen: Bool, n: int, m: int) -> Int64:
    """Count chosen pixels [n+1, m+1] by their values in two maps of values 0..n and 0..m."""
    pairs = first[chosen].astype(np.int64) * (m + 1) + second[chosen]
    return np.bincount(pairs, minlength=(n + 1) * (m + 1)).reshape(n + 1, m + 1)


def ratio(part: NDArray[np.generic], whole: NDArray[np.generic]) -> Float64:
    """Divide in float64; NaN if `whole` is 0."""
    above, below = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below > 0)
