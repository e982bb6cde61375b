"""Pieces of masks inside somebody else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from model.islands import _pieces, give_back_islands
from model.raw_prediction import RawPrediction

LIMBS = ((0, 9),)


def two_people() -> RawPrediction:
    """Person 1 in columns 2 to 19, person 2 in columns 20 to 37, rows 2 to 37, a joint in the middle of each."""
    person_map = np.zeros((40, 40), np.uint8)
    person_map[2:38, 2:20], person_map[2:38, 20:38] = 1, 2
    keypoints = np.zeros((3, 17, 3), np.float32)
    keypoints[0, 0], keypoints[1, 0] = (10, 20, 0.9), (28, 20, 0.9)
    scores = np.array([0.9, 0.8, 0], np.float32)
    return RawPrediction(np.minimum(person_map, 1), person_map, keypoints, scores, np.zeros((3, 14), np.float32), 0)


def test_an_island_in_somebody_else_becomes_theirs() -> None:
    people = two_people()
    clean = people.person_map.copy()
    people.person_map[10:14, 26:30] = 1
    people.person_map[25:35, 6:9] = 2
    given = give_back_islands(people, LIMBS)
    np.testing.assert_array_equal(given.person_map, clean)
    np.testing.assert_array_equal(given.part_map, people.part_map)


@pytest.mark.parametrize("wrist", [(28, 12), (34, 2)])
def test_a_piece_under_the_person_s_own_joint_or_limb_stays(wrist: tuple[int, int]) -> None:
    """From (10, 20), the straight way to (34, 2) crosses the piece as well."""
    people = two_people()
    people.person_map[8:14, 20:30] = 1
    people.person_map[8:14, 18:21] = 2  # cut off from the rest of person 1
    people.keypoints[0, 9] = (*wrist, 0.4)
    given = give_back_islands(people, LIMBS)
    assert (given.person_map[8:14, 21:30] == 1).all()
    people.keypoints[0, 9] = 0
    assert (give_back_islands(people, LIMBS).person_map[8:14, 21:30] == 2).all()


def test_a_large_piece_stays() -> None:
    people = two_people()
    people.person_map[4:24, 22:36] = 1  # two fifths of person 1
    people.keypoints[1, 0] = (28, 30, 0.9)
    np.testing.assert_array_equal(give_back_islands(people, LIMBS).person_map, people.person_map)


def test_a_piece_among_the_background_stays() -> None:
    people = two_people()
    people.person_map[38:, 5:8] = people.part_map[38:, 5:8] = 2  # three of its ten sides touch person 1
    people.person_map[37, 5:8] = people.part_map[37, 5:8] = 0
    people.person_map[37, 5] = 1
    np.testing.assert_array_equal(give_back_islands(people, LIMBS).person_map, people.person_map)


def test_people_in_one_piece_each_are_left_as_they_are() -> None:
    people = two_people()
    assert give_back_islands(people, LIMBS) is people
    nobody = people._replace(person_map=np.zeros_like(people.person_map), keypoints=np.zeros_like(people.keypoints))
    assert give_back_islands(nobody, LIMBS) is nobody


@pytest.mark.parametrize("seed", range(12))
def test_pieces_are_those_of_a_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 4, (rng.integers(2, 30), rng.integers(2, 30)))
    person_map = ndimage.zoom(coarse, int(rng.integers(1, 5)), order=0).astype(np.uint8)
    pieces = _pieces(person_map)
    expected = 0
    for person in range(4):
        labels, count = ndimage.label(person_map == person)
        expected += count
        for label in range(1, count + 1):
            (piece,) = np.unique(pieces.of_pixel[labels == label])
            assert pieces.person[piece] == person
            assert pieces.size[piece] == (labels == label).sum()
    assert len(pieces.size) == expected
