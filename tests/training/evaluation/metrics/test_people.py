"""People by their masks and the two average precisions, in cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.evaluation.metrics.people import Instances, average_precision, compare_masks, match


def maps(*rows: str) -> np.ndarray:
    """A map of digits; x is 255."""
    return np.array([[255 if c == "x" else int(c) for c in row] for row in rows], np.uint8)


def falling(count: int) -> np.ndarray:
    return np.linspace(0.9, 0.5, count).astype(np.float32)


def instances(similarity: list[list[float]], dt_ignore: list[bool] | None = None) -> Instances:
    """People of which every labelled one counts; predictions by falling score."""
    table = np.array(similarity, float)
    m = table.shape[1]
    return Instances(table, falling(m), np.ones(len(table), bool), np.array(dt_ignore or [False] * m, bool))


def test_masks_are_compared_where_the_owner_is_known() -> None:
    gt, predicted = maps("110x", "022x"), maps("1111", "0222")
    people = compare_masks(gt, predicted, np.array([True, True]), falling(2))
    np.testing.assert_allclose(people.similarity, [[2 / 3, 0], [0, 1]])
    assert people.countable.all()
    assert not people.dt_ignore.any()


def test_predictions_on_unknown_pixels_and_people_without_masks_do_not_count() -> None:
    people = compare_masks(maps("xxx01"), maps("22201"), np.array([True, False]), falling(3))
    assert people.dt_ignore.tolist() == [False, True, False]  # 3 has no pixel at all: that is no excuse
    assert people.countable.tolist() == [True, False]
    assert average_precision([people], 0.5) == pytest.approx(1.0)


def test_a_duplicate_at_rank_two_costs_a_sixth() -> None:
    people = instances([[0.9, 0.8, 0.0], [0.0, 0.0, 0.9]])
    assert match(people, 0.5).tolist() == [0, -1, 1]
    assert average_precision([people], 0.5) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_the_second_prediction_does_not_get_the_next_best_person() -> None:
    assert match(instances([[0.9, 0.8], [0.0, 0.7]]), 0.5).tolist() == [0, -1]


def test_a_threshold_must_be_exceeded() -> None:
    assert match(instances([[0.5]]), 0.5).tolist() == [-1]


def test_an_ignored_prediction_is_no_false_positive_but_may_be_a_hit() -> None:
    assert average_precision([instances([[0.0, 0.9]], dt_ignore=[True, True])], 0.5) == 1.0
    assert average_precision([instances([[0.0, 0.9]])], 0.5) == 0.5


def test_scores_rank_across_images() -> None:
    right, wrong = instances([[0.9]]), instances([[0.0]])
    low = Instances(wrong.similarity, np.array([0.1], np.float32), wrong.countable, wrong.dt_ignore)
    assert average_precision([low, right], 0.5) == pytest.approx(0.5)  # the false one comes last
    assert average_precision([wrong, right], 0.5) == pytest.approx(0.25)  # or, of equals, first


def test_ap_without_labels_is_undefined() -> None:
    nobody = Instances(np.zeros((0, 2)), falling(2), np.zeros(0, bool), np.zeros(2, bool))
    assert match(nobody, 0.5).tolist() == [-1, -1]
    assert math.isnan(average_precision([nobody], 0.5))
    assert math.isnan(average_precision([], 0.5))
