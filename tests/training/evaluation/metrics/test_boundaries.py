"""Boundary F-score in cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.metrics.boundaries import boundary_f, contours, mask_boundary_f, part_contours, tolerance
from training.evaluation.metrics.people import compare_masks

SIZE = (100, 100)  # contours agree within two pixels


def square(top: int, left: int, side: int = 20, value: int = 1) -> np.ndarray:
    regions = np.zeros(SIZE, np.uint8)
    regions[top : top + side, left : left + side] = value
    return regions


def f(gt: np.ndarray, found: np.ndarray) -> float:
    return float(boundary_f(part_contours(gt, found, 1))[0])


def test_the_tolerance_is_a_share_of_the_diagonal_and_at_least_a_pixel() -> None:
    assert tolerance(SIZE) == 2
    assert tolerance((30, 40)) == 1
    assert tolerance((480, 640)) == 7


def test_the_contour_of_a_square_is_its_outermost_pixels() -> None:
    points = contours(square(40, 40, side=5))
    assert len(points) == 16
    assert set(points[:, 0]) == {1}
    assert (points[:, 1:].min(axis=0) == 40).all()
    assert (points[:, 1:].max(axis=0) == 44).all()


def test_neither_the_images_border_nor_unknown_pixels_make_a_contour() -> None:
    assert len(contours(np.ones((6, 7), np.uint8))) == 0
    corner = square(0, 0, side=5)
    assert len(contours(corner)) == 9  # two of its four sides
    corner[5] = 255
    assert len(contours(corner)) == 5


def test_a_shift_within_the_tolerance_costs_nothing_and_a_longer_one_does() -> None:
    assert f(square(40, 40), square(40, 42)) == 1
    assert f(square(40, 40), square(43, 43)) < 0.7
    assert f(square(40, 40), square(10, 10)) == 0


def test_precision_and_recall_of_a_contour() -> None:
    two = square(10, 10) | square(60, 60)
    assert part_contours(two, square(10, 10), 1).tolist() == [[152, 76, 76, 76]]
    assert f(two, square(10, 10)) == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert f(square(10, 10), two) == pytest.approx(2 * 1 * 0.5 / 1.5)


def test_a_contour_on_one_side_only_is_zero_and_on_neither_has_no_value() -> None:
    nothing = np.zeros(SIZE, np.uint8)
    assert f(square(10, 10), nothing) == f(nothing, square(10, 10)) == 0
    assert np.isnan(f(nothing, nothing))


def test_predicted_contours_near_unknown_pixels_are_not_wrong() -> None:
    gt = square(40, 40)
    gt[:, 60:] = 255  # what is right of the square is unknown
    wide = square(40, 40)
    wide[40:60, 60:80] = 1  # goes on where nothing is known
    assert f(gt, wide) == 1
    inside = np.where(np.arange(100) < 59, square(40, 40), 0).astype(np.uint8)  # ends two pixels from there
    assert f(gt, inside) == 1
    earlier = np.where(np.arange(100) < 55, square(40, 40), 0).astype(np.uint8)
    assert f(gt, earlier) < 1


def test_each_part_for_itself() -> None:
    gt, found = square(10, 10) | square(60, 60, value=2), square(10, 10, value=2) | square(60, 60, value=2)
    one, two = boundary_f(part_contours(gt, found, 2))
    assert one == 0
    assert two == pytest.approx(2 / 3)


def test_masks_by_their_best_prediction() -> None:
    gt = square(10, 10) | square(40, 40, value=2) | square(70, 70, value=3)
    found = square(10, 10, value=2) | square(40, 41, value=1)
    people = compare_masks(gt, found, np.array([True, True, True, True]), np.array([0.9, 0.8], np.float32))
    values = mask_boundary_f(gt, found, people)
    np.testing.assert_allclose(values, [1, 1, 0, np.nan])


def test_one_prediction_may_be_the_best_of_two_people() -> None:
    gt = square(40, 40)
    gt[40:60, 50:60] = 2
    found = square(40, 40)
    people = compare_masks(gt, found, np.array([True, True]), np.array([0.9], np.float32))
    values = mask_boundary_f(gt, found, people)
    assert (values > 0.6).all()
    assert (values < 1).all()
