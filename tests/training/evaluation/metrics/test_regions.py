"""AP^r of part instances, both definitions, in cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.metrics.parts import VOLUME, PersonParts, compare_parts
from training.evaluation.metrics.regions import part_ap


def maps(*rows: str) -> np.ndarray:
    """A map of digits; x is 255."""
    return np.array([[255 if c == "x" else int(c) for c in row] for row in rows], np.uint8)


def image(
    gt: tuple[str, str], found: tuple[str, str], part_score: list[list[float]] | None = None, parts: int = 2
) -> PersonParts:
    """One row of pixels, labelled and found as (parts, people); people's scores fall."""
    maps_of = [(maps(part), maps(person)) for part, person in (gt, found)]
    count, m = (int(people[people != 255].max()) for _, people in maps_of)
    score = np.linspace(0.9, 0.5, m).astype(np.float32)
    scores = np.repeat(score[:, None], parts, axis=1) if part_score is None else np.array(part_score, np.float32)
    return compare_parts(maps_of[0], maps_of[1], count, score, scores)


def ap(images: list[PersonParts], threshold: float) -> tuple[list[float], list[float]]:
    """De facto and one-to-one."""
    de_facto, once = (part_ap(images, [threshold], one_to_one)[0].tolist() for one_to_one in (False, True))
    return de_facto, once


def test_the_labels_themselves_are_perfect() -> None:
    people = ("11220112", "11110222")
    for threshold in (0.1, 0.5, 0.9):
        assert ap([image(people, people)], threshold) == ([1, 1], [1, 1])


def test_one_of_two_people_is_missing() -> None:
    assert ap([image(("11220112", "11110222"), ("11220000", "11110000"))], 0.5) == ([0.5, 0.5], [0.5, 0.5])


def test_no_prediction_is_zero_and_a_part_without_labels_has_no_value() -> None:
    de_facto, once = ap([image(("1100", "1100"), ("0000", "0000"))], 0.5)
    assert de_facto[0] == once[0] == 0
    assert np.isnan([de_facto[1], once[1]]).all()


def test_a_part_that_is_only_predicted_has_no_value() -> None:
    """CIHP_PGN's script divides by zero here, and its mean over parts is lost."""
    de_facto, once = ap([image(("1100", "1100"), ("1120", "1110"))], 0.5)
    assert (de_facto[0], once[0]) == (1, 1)
    assert np.isnan([de_facto[1], once[1]]).all()


def test_two_halves_are_twice_right_de_facto() -> None:
    halves = image(("1111", "1111"), ("1111", "1122"), parts=1)  # each has an IoU of 1/2
    assert ap([halves], 0.4) == ([2.0], [1.0])
    assert ap([halves], 0.5) == ([0.0], [0.0])  # 1/2 does not exceed 1/2


def test_a_duplicate_between_two_right_ones_costs_once_only() -> None:
    gt = ("111111110111", "111111110222")
    found = ("111111110111", "111112220333")  # 5/8 and 3/8 of the first, then the second
    de_facto, once = ap([image(gt, found)], 0.3)
    assert de_facto[0] == pytest.approx(3 / 2)
    assert once[0] == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def test_the_second_prediction_gets_the_next_best_instance() -> None:
    """Unlike people of AP^p. Both predictions resemble the first most: by 5/10, and by 5/11 against 1/6."""
    second = image(("11111111111", "11111111112"), ("11111111111", "11111222222"), parts=1)
    assert ap([second], 0.1) == ([1.0], [1.0])
    assert ap([second], 0.2) == ([1.0], [0.5])  # the next best is not enough; de facto the first is right twice


def test_scores_of_parts_rank_across_people() -> None:
    gt, found = ("1100220000", "1111110000"), ("1100220011", "1111110022")
    right_first = image(gt, found, [[0.9, 0.9], [0.1, 0.1]])
    wrong_first = image(gt, found, [[0.1, 0.9], [0.9, 0.1]])
    assert ap([right_first], 0.5) == ([1, 1], [1, 1])
    assert ap([wrong_first], 0.5) == ([0.5, 1], [0.5, 1])


def test_instances_on_unknown_pixels_are_not_false() -> None:
    gt = ("11xxx0", "11xxx0")
    assert ap([image(gt, ("111110", "112220"), [[0.1, 0], [0.9, 0]])], 0.5)[1][0] == 1  # wholly on unknown pixels
    assert ap([image(gt, ("110111", "110222"), [[0.1, 0], [0.9, 0]])], 0.5)[1][0] == 1  # two of three
    assert ap([image(gt, ("110011", "110022"), [[0.1, 0], [0.9, 0]])], 0.5)[1][0] == 0.5  # half


def test_images_add_up() -> None:
    right = image(("1100", "1100"), ("1100", "1100"), [[0.5, 0]])
    wrong = image(("1100", "1100"), ("0011", "0011"), [[0.6, 0]])
    assert ap([right, wrong], 0.5)[1][0] == pytest.approx(1 / 2 * 1 / 2)
    assert part_ap([], VOLUME, one_to_one=True).shape == (9, 0)
