"""Pixel metrics against cases worked out by hand and against their definitions written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model.taxonomy import DENSEPOSE_COCO, MHP_V2
from tests.figures import draw_figures
from training.metrics import (
    Instances,
    PersonParts,
    average_precision,
    bootstrap,
    class_ious,
    compare_masks,
    compare_parts,
    confusion,
    correct_parts,
    joint_part_tables,
    joints_on_parts,
    match,
)

T = DENSEPOSE_COCO
C = len(T.part_names)


def maps(*rows: str) -> np.ndarray:
    """A map of digits; x is 255."""
    return np.array([[255 if c == "x" else int(c) for c in row] for row in rows], np.uint8)


def falling(count: int) -> np.ndarray:
    return np.linspace(0.9, 0.5, count).astype(np.float32)


def instances(similarity: list[list[float]], excused: list[bool] | None = None) -> Instances:
    """People of which every labelled one counts; predictions by falling score."""
    table = np.array(similarity, float)
    m = table.shape[1]
    return Instances(table, falling(m), np.ones(len(table), bool), np.array(excused or [False] * m, bool))


def test_confusion_leaves_unknown_pixels_out() -> None:
    matrix = confusion(maps("0011", "x22x"), maps("0111", "1021"), 3)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 2, 0], [1, 0, 1]])


def test_class_ious_by_hand_and_an_absent_class() -> None:
    ious = class_ious(confusion(maps("0011"), maps("0111"), 4))
    np.testing.assert_allclose(ious, [1 / 2, 2 / 3, math.nan, math.nan])


def test_masks_are_compared_where_the_owner_is_known() -> None:
    truth, predicted = maps("110x", "022x"), maps("1111", "0222")
    people = compare_masks(truth, predicted, np.array([True, True]), falling(2))
    np.testing.assert_allclose(people.similarity, [[2 / 3, 0], [0, 1]])
    assert people.countable.all()
    assert not people.excused.any()


def test_a_prediction_on_unknown_pixels_is_excused_and_a_person_without_mask_does_not_count() -> None:
    people = compare_masks(maps("xxx01"), maps("22201"), np.array([True, False]), falling(3))
    assert people.excused.tolist() == [False, True, False]  # 3 has no pixel at all: that is no excuse
    assert people.countable.tolist() == [True, False]
    assert average_precision([people], 0.5) == pytest.approx(1.0)


def by_definition(truth: np.ndarray, owner: np.ndarray, part: np.ndarray, person: np.ndarray, n: int, m: int) -> list:
    """IoU of every class of every pair, NaN for absent ones, as the MHP v2 evaluation computes them."""
    known = (truth != 255) & (owner != 255)
    result = np.full((n, m, C + 1), np.nan)
    for i in range(n):
        for j in range(m):
            a = np.where(owner == i + 1, truth, 0)[known]
            b = np.where(person == j + 1, part, 0)[known]
            result[i, j] = class_ious(confusion(a, b, C + 1))
    return result


def test_parts_of_people_as_defined() -> None:
    truth, guess = draw_figures(T, people=3, seed=1), draw_figures(T, people=2, seed=2)
    parts, owners = truth.parts.copy(), truth.people.copy()
    parts[100:130, 50:90] = 255
    parts[150:165] = 0  # somebody's pixels that are no part
    owners[10:60, 120:200] = parts[10:60, 120:200] = 255
    found = compare_parts((parts, owners), (guess.parts, guess.people), 3, falling(2), C)
    expected = by_definition(parts, owners, guess.parts, guess.people, 3, 2)
    np.testing.assert_allclose(found.ious, expected)
    np.testing.assert_allclose(found.people.similarity, np.nanmean(expected, axis=-1))
    for row in range(3):
        labelled = np.unique(parts[(owners == row + 1) & (parts > 0) & (parts != 255)])
        np.testing.assert_array_equal(np.flatnonzero(found.present[row]) + 1, labelled)


def test_a_person_whose_parts_are_all_unknown_does_not_count() -> None:
    found = compare_parts((maps("11x"), maps("112")), (maps("111"), maps("112")), 2, falling(2), C)
    assert found.people.countable.tolist() == [True, False]
    assert correct_parts([found]) == 1.0


def test_a_photo_with_nothing_known_has_no_figures() -> None:
    found = compare_parts((maps("xx"), maps("xx")), (maps("11"), maps("11")), 0, falling(1), C)
    assert np.isnan(average_precision([found.people], 0.5))
    assert np.isnan(correct_parts([found]))


def drawn(keep: list[int]) -> PersonParts:
    """Two people 1 and 2; predictions are copies of those in `keep`, each shifted into its own slot."""
    truth = maps("1122", "1122"), maps("1122", "1122")
    parts, people = np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint8)
    for slot, row in enumerate(keep, start=1):
        mine = truth[1] == row
        parts[mine], people[mine] = truth[0][mine], slot
    return compare_parts(truth, (parts, people), 2, falling(len(keep)), C)


@pytest.mark.parametrize(("keep", "expected"), [([1, 2], 1.0), ([2, 1], 1.0), ([1], 0.5), ([], 0.0)])
def test_ap_and_pcp_with_everyone_one_and_nobody_found(keep: list[int], expected: float) -> None:
    found = drawn(keep)
    assert average_precision([found.people], 0.5) == pytest.approx(expected)
    assert correct_parts([found]) == pytest.approx(expected)


def test_pcp_counts_the_parts_that_overlap_enough() -> None:
    truth = maps("1111222333"), maps("1111111111")
    guess = maps("1110222003"), maps("1110111001")  # IoU of the parts: 3/4, 1, 1/3
    assert correct_parts([compare_parts(truth, guess, 1, falling(1), C)]) == pytest.approx(2 / 3)


def test_a_duplicate_at_rank_two_costs_a_sixth() -> None:
    people = instances([[0.9, 0.8, 0.0], [0.0, 0.0, 0.9]])
    assert match(people, 0.5).tolist() == [0, -1, 1]
    assert average_precision([people], 0.5) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_who_comes_second_does_not_get_the_next_best() -> None:
    assert match(instances([[0.9, 0.8], [0.0, 0.7]]), 0.5).tolist() == [0, -1]


def test_a_threshold_must_be_exceeded() -> None:
    assert match(instances([[0.5]]), 0.5).tolist() == [-1]


def test_an_excused_prediction_is_not_false_but_may_be_right() -> None:
    assert average_precision([instances([[0.0, 0.9]], excused=[True, True])], 0.5) == 1.0
    assert average_precision([instances([[0.0, 0.9]])], 0.5) == 0.5


def test_scores_rank_across_photos() -> None:
    right, wrong = instances([[0.9]]), instances([[0.0]])
    low = Instances(wrong.similarity, np.array([0.1], np.float32), wrong.countable, wrong.excused)
    assert average_precision([low, right], 0.5) == pytest.approx(0.5)  # the false one comes last
    assert average_precision([wrong, right], 0.5) == pytest.approx(0.25)  # or, of equals, first


def test_ap_without_labels_is_undefined() -> None:
    nobody = Instances(np.zeros((0, 2)), falling(2), np.zeros(0, bool), np.zeros(2, bool))
    assert match(nobody, 0.5).tolist() == [-1, -1]
    assert math.isnan(average_precision([nobody], 0.5))
    assert math.isnan(average_precision([], 0.5))


def test_every_joint_may_lie_on_its_own_parts() -> None:
    tables = joint_part_tables(T)
    assert tables is not None
    either, own = tables

    def names(row: np.ndarray) -> set[str]:
        return {T.part_names[c - 1] for c in np.flatnonzero(row)}

    wrist, nose = T.joint_names.index("left_wrist"), T.joint_names.index("nose")
    assert names(own[wrist]) == {"left_lower_arm", "left_hand"}
    assert names(either[wrist]) == names(own[wrist]) | {"right_lower_arm", "right_hand"}
    assert names(own[nose]) == {"head"}
    hip = T.joint_names.index("right_hip")
    assert names(own[hip]) == {"torso", "right_upper_leg"}
    assert not either[:, 0].any()


def test_no_table_of_joints_for_clothes() -> None:
    assert joint_part_tables(MHP_V2) is None


def test_joints_on_parts_by_hand() -> None:
    tables = joint_part_tables(T)
    assert tables is not None
    part = {name: i + 1 for i, name in enumerate(T.part_names)}
    part_map = np.zeros((4, 6), np.uint8)
    part_map[0, 0], part_map[0, 1], part_map[0, 2] = part["left_hand"], part["right_hand"], part["head"]
    keypoints = np.zeros((4, len(T.joint_names), 3), np.float32)
    wrist = T.joint_names.index("left_wrist")
    # right side; wrong side; another part; background; then one that is hidden and does not count
    for person, x in enumerate((0.4, 1.2, 2.0, 5.6)):
        keypoints[person, wrist] = x, 0, 2
    keypoints[0, 0] = 0, 0, 1
    assert joints_on_parts(keypoints, part_map, tables).tolist() == [4, 3, 2, 1]


def test_bootstrap_covers_the_mean_and_repeats_itself() -> None:
    values = np.random.default_rng(1).normal(size=100)

    def mean(rows: np.ndarray) -> float:
        return float(values[rows].mean())

    low, high = bootstrap(mean, 100)
    assert low < values.mean() < high
    assert 2.5 < (high - low) / (values.std() / 10) < 5.5  # about 2 x 1.96 standard errors
    assert bootstrap(mean, 100) == [low, high]


def test_bootstrap_of_a_constant_and_of_nothing() -> None:
    assert bootstrap(lambda rows: 2.0, 5) == [2.0, 2.0]
    assert np.isnan(bootstrap(lambda rows: 2.0, 0)).all()
    assert np.isnan(bootstrap(lambda rows: math.nan, 5)).all()
