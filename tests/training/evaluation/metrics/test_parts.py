"""Parts of people: AP^p and PCP in cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures
from training.evaluation.metrics.parts import PersonParts, compare_parts, likeness, pcp
from training.evaluation.metrics.people import average_precision
from training.evaluation.metrics.pixels import class_ious, confusion

T = DENSEPOSE_COCO
C = len(T.part_names)


def maps(*rows: str) -> np.ndarray:
    """A map of digits; x is 255."""
    return np.array([[255 if c == "x" else int(c) for c in row] for row in rows], np.uint8)


def falling(count: int) -> np.ndarray:
    return np.linspace(0.9, 0.5, count).astype(np.float32)


def by_definition(gt: np.ndarray, owner: np.ndarray, part: np.ndarray, person: np.ndarray, n: int, m: int) -> list:
    """IoU of every class of every pair, NaN for absent ones, as the MHP v2 evaluation computes them."""
    known = (gt != 255) & (owner != 255)
    result = np.full((n, m, C + 1), np.nan)
    for i in range(n):
        for j in range(m):
            a = np.where(owner == i + 1, gt, 0)[known]
            b = np.where(person == j + 1, part, 0)[known]
            result[i, j] = class_ious(confusion(a, b, C + 1))
    return result


def test_parts_of_people_as_defined() -> None:
    gt, guess = draw_figures(T, people=3, seed=1), draw_figures(T, people=2, seed=2)
    parts, owners = gt.parts.copy(), gt.people.copy()
    parts[100:130, 50:90] = 255
    parts[150:165] = 0  # somebody's pixels that are no part
    owners[10:60, 120:200] = parts[10:60, 120:200] = 255
    found = compare_parts((parts, owners), (guess.parts, guess.people), 3, falling(2), np.ones((2, C)))
    expected = by_definition(parts, owners, guess.parts, guess.people, 3, 2)
    np.testing.assert_allclose(found.ious, expected)
    np.testing.assert_allclose(found.people.similarity, np.nanmean(expected, axis=-1))
    for row in range(3):
        labelled = np.unique(parts[(owners == row + 1) & (parts > 0) & (parts != 255)])
        np.testing.assert_array_equal(np.flatnonzero(found.present[row]) + 1, labelled)


def test_a_person_whose_parts_are_all_unknown_does_not_count() -> None:
    found = compare_parts((maps("11x"), maps("112")), (maps("111"), maps("112")), 2, falling(2), np.ones((2, C)))
    assert found.people.countable.tolist() == [True, False]
    assert pcp([found]) == 1.0


def test_an_image_with_nothing_known_has_no_metrics() -> None:
    found = compare_parts((maps("xx"), maps("xx")), (maps("11"), maps("11")), 0, falling(1), np.ones((1, C)))
    assert np.isnan(average_precision([found.people], 0.5))
    assert np.isnan(pcp([found]))


def drawn(keep: list[int]) -> PersonParts:
    """Two people 1 and 2; predictions are copies of those in `keep`, each shifted into its own slot."""
    gt = maps("1122", "1122"), maps("1122", "1122")
    parts, people = np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint8)
    for slot, row in enumerate(keep, start=1):
        mine = gt[1] == row
        parts[mine], people[mine] = gt[0][mine], slot
    return compare_parts(gt, (parts, people), 2, falling(len(keep)), np.ones((len(keep), C)))


@pytest.mark.parametrize(("keep", "expected"), [([1, 2], 1.0), ([2, 1], 1.0), ([1], 0.5), ([], 0.0)])
def test_ap_and_pcp_with_all_one_and_no_person_found(keep: list[int], expected: float) -> None:
    found = drawn(keep)
    assert average_precision([found.people], 0.5) == pytest.approx(expected)
    assert pcp([found]) == pytest.approx(expected)


def test_pcp_counts_the_parts_that_overlap_enough() -> None:
    gt = maps("1111222333"), maps("1111111111")
    guess = maps("1110222003"), maps("1110111001")  # IoU of the parts: 3/4, 1, 1/3
    assert pcp([compare_parts(gt, guess, 1, falling(1), np.ones((1, C)))]) == pytest.approx(2 / 3)


def test_likeness_counts_misses_and_false_positives() -> None:
    assert likeness(drawn([1, 2])) == 1
    assert likeness(drawn([1])) == pytest.approx((1 + 0 + 1) / 3)
    assert likeness(drawn([])) == 0
    nobody = (maps("0000"), maps("0000"))
    assert np.isnan(likeness(compare_parts(nobody, nobody, 0, falling(0), np.ones((0, C)))))
    somebody = (maps("1100"), maps("1100"))
    assert likeness(compare_parts(nobody, somebody, 0, falling(1), np.ones((1, C)))) == 0


def test_likeness_is_of_parts_without_background() -> None:
    gt, guess = (maps("1122", "0000"), maps("1111", "0000")), (maps("1111", "0000"), maps("1111", "0000"))
    assert likeness(compare_parts(gt, guess, 1, falling(1), np.ones((1, C)))) == pytest.approx((1 / 2 + 0) / 2)
