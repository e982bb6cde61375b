"""Two answers on one image: against a naive count, and cases worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures
from training.evaluation.metrics.flip_consistency import Agreement, agreement_metrics, compare_predictions
from training.inference.predictions import Prediction

T = DENSEPOSE_COCO
PARTS = len(T.part_names)


def answer(people: int, seed: int) -> Prediction:
    """The labels of drawn figures, some joints not found."""
    sample = draw_figures(T, size=(120, 200), people=people, seed=seed)
    keypoints = sample.keypoints.copy()
    keypoints[..., 2] *= np.random.default_rng(seed).random(keypoints.shape[:2]) > 0.2
    return Prediction(
        part_map=sample.parts,
        person_map=sample.people,
        keypoints=keypoints,
        score=np.linspace(0.9, 0.5, people).astype(np.float32),
        part_score=np.ones((people, PARTS), np.float32),
    )


def naive(first: Prediction, second: Prediction) -> Agreement:
    """Pixel by pixel, and pairs by sorting all of them."""
    same = either = 0
    for a, b in zip(first.part_map.ravel().tolist(), second.part_map.ravel().tolist(), strict=True):
        either += a > 0 or b > 0
        same += a == b > 0
    ious = []
    for i in range(len(first.score)):
        for j in range(len(second.score)):
            one, two = first.person_map == i + 1, second.person_map == j + 1
            ious.append(((one & two).sum() / max((one | two).sum(), 1), i, j))
    distances, taken = [], []
    for iou, i, j in sorted(ious, reverse=True):
        if iou > 0.3 and not any(i == a or j == b for a, b in taken):
            taken.append((i, j))
            rows = np.flatnonzero((first.person_map == i + 1).any(axis=1))
            for a, b in zip(first.keypoints[i].tolist(), second.keypoints[j].tolist(), strict=True):
                if a[2] > 0 and b[2] > 0:
                    distances.append(math.dist(a[:2], b[:2]) / (rows[-1] - rows[0] + 1))
    return Agreement(same, either, len(first.score), len(taken), np.array(distances))


@pytest.mark.parametrize("seed", range(6))
def test_as_a_naive_count(seed: int) -> None:
    """The same people a little to the right, of whom other joints are found, or other people."""
    first, second = answer(3, seed), answer(3 - seed % 2, seed + seed % 2)
    if seed % 2 == 0:
        joints = second.keypoints[::-1] + np.random.default_rng(seed).integers(-1, 2, second.keypoints.shape)
        order = np.array([0, 3, 2, 1], np.uint8)
        people = order[np.roll(second.person_map, 1, axis=1)]
        parts = np.roll(second.part_map, 1, axis=1)
        second = replace(second, part_map=parts, person_map=people, keypoints=joints.astype(np.float32))
    found, expected = compare_predictions(first, second), naive(first, second)
    assert (found.same, found.either, found.people, found.matched) == (
        expected.same, expected.either, expected.people, expected.matched
    )  # fmt: skip
    assert seed % 2 or found.matched == 3
    np.testing.assert_allclose(np.sort(found.distances), np.sort(expected.distances), atol=1e-6)


def test_a_prediction_agrees_with_itself_in_any_order_of_people() -> None:
    first = answer(3, 0)
    order = np.array([2, 0, 1])  # row of the second answer -> row of the first
    renumber = np.zeros(4, np.uint8)
    renumber[order + 1] = [1, 2, 3]
    second = Prediction(
        first.part_map, renumber[first.person_map], first.keypoints[order], first.score, first.part_score
    )
    metrics = agreement_metrics([compare_predictions(first, second)])
    assert metrics == {"pixel_agreement": 1, "people": 3, "matched": 3, "joint_distance": 0, "joint_distance90": 0}


def test_by_hand() -> None:
    parts = np.zeros((20, 20), np.uint8)
    people = parts.copy()
    parts[5:15, 5:10], people[5:15, 5:10] = 1, 1
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, :10] = [(6, 6 + i, 1) for i in range(10)]
    one = Prediction(parts, people, keypoints, np.ones(1, np.float32), np.ones((1, PARTS), np.float32))
    moved = keypoints.copy()
    moved[0, :10, 0] += np.arange(10)  # 0 to 9 px, of a person 10 px tall
    other = parts.copy()
    other[5:10, 5:10] = 2  # half of the pixels
    metrics = agreement_metrics([compare_predictions(one, Prediction(other, people, moved, one.score, one.part_score))])
    assert metrics["pixel_agreement"] == 0.5
    assert metrics["joint_distance"] == pytest.approx(0.45)
    assert metrics["joint_distance90"] == pytest.approx(0.81)


def test_empty_predictions_have_no_consistency() -> None:
    empty = answer(0, 0)
    metrics = agreement_metrics([compare_predictions(empty, empty)])
    assert (metrics["people"], metrics["matched"]) == (0, 0)
    assert all(math.isnan(metrics[name]) for name in ("pixel_agreement", "joint_distance", "joint_distance90"))
    someone = compare_predictions(answer(2, 1), empty)
    assert (someone.same, someone.matched, someone.people) == (0, 0, 2)
    assert someone.either > 0
