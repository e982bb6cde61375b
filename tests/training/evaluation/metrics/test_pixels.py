"""Pixels by class, in cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np

from training.evaluation.metrics.pixels import class_ious, confusion


def maps(*rows: str) -> np.ndarray:
    """A map of digits; x is 255."""
    return np.array([[255 if c == "x" else int(c) for c in row] for row in rows], np.uint8)


def test_confusion_leaves_unknown_pixels_out() -> None:
    matrix = confusion(maps("0011", "x22x"), maps("0111", "1021"), 3)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 2, 0], [1, 0, 1]])


def test_class_ious_by_hand_and_an_absent_class() -> None:
    ious = class_ious(confusion(maps("0011"), maps("0111"), 4))
    np.testing.assert_allclose(ious, [1 / 2, 2 / 3, math.nan, math.nan])
