"""Detection errors of people in cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.training.evaluation.metrics.drawn_poses import FLIP, SIGMAS, K, nobody, poses, scene
from training.evaluation.metrics.detection_errors import PersonErrors, person_errors
from training.evaluation.metrics.poses import Poses


def errors(image: Poses) -> PersonErrors:
    return person_errors([image], SIGMAS, FLIP)


def test_a_perfect_prediction_has_no_errors() -> None:
    gt, area, height = scene(3)
    assert errors(poses(gt, area, height, gt)) == PersonErrors(notable=3, labelled=3, matched=3)


def test_a_missed_person_and_a_short_one() -> None:
    gt, area, _ = scene(3)
    image = poses(gt, area, np.array([150.0, 150.0, 64.0]), gt[:1])
    assert errors(image) == PersonErrors(notable=2, missed=1, labelled=3, matched=1)


def test_a_duplicate_and_a_false_positive() -> None:
    gt, area, height = scene(2)
    found = np.concatenate([gt, gt[:1], np.add(gt[:1], (500, 0, 0))])
    image = poses(gt, area, height, found)
    expected = PersonErrors(notable=2, labelled=2, duplicates=1, matched=2, false_positives=1)
    assert errors(image) == expected
    assert errors(replace(image, dt_ignore=np.ones(4, bool))) == replace(expected, false_positives=0)


def test_an_inverted_person_among_two() -> None:
    gt, area, height = scene(2)
    found = gt.copy()
    found[0] = gt[0, list(FLIP)]
    result = errors(poses(gt, area, height, found))
    assert (result.matched, result.inversions, result.false_positives) == (2, 1, 0)


def test_an_inverted_person_is_missed_and_no_false_positive() -> None:
    gt = np.zeros((1, K, 3))
    gt[0, [9, 10]] = (0, 50, 2), (100, 50, 2)  # wrists alone
    image = poses(gt, np.array([5000.0]), np.array([150.0]), gt[:, list(FLIP)])
    assert errors(image) == PersonErrors(notable=1, missed=1, labelled=1, matched=1, inversions=1)


def test_one_prediction_is_not_matched_to_two_people() -> None:
    gt, area, height = scene(1)
    twice = poses(gt[[0, 0]], area[[0, 0]], height[[0, 0]], gt)
    assert errors(twice) == PersonErrors(notable=2, labelled=2, matched=1)


def test_an_image_without_people_has_no_errors() -> None:
    empty = poses(nobody(), np.zeros(0), np.zeros(0), nobody())
    assert errors(empty) == PersonErrors()
    gt, area, height = scene(1)
    assert errors(poses(gt, area, height, nobody())) == PersonErrors(notable=1, missed=1, labelled=1)
    assert errors(poses(nobody(), np.zeros(0), np.zeros(0), gt)) == PersonErrors(false_positives=1)
