"""One answer from two canvases of an image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model.letterbox import letterbox_geometry
from model.raw_prediction import RawPrediction
from model.two_scales import AGREEMENT, EVEN, FAVOR, USUAL, pose_similarity, unite
from tests.model.decoder.ideal_maps import standing_person

IMAGE = (600, 800)
COARSE, FINE = (192, 256), (480, 640)  # height, width; the image fits exactly
BOX_COARSE, BOX_FINE = letterbox_geometry(IMAGE, COARSE), letterbox_geometry(IMAGE, FINE)
SLOTS = 6

Person = tuple[float, float, float, float]  # x, y of the middle and height in pixels of the image, score


def people(size: tuple[int, int], *persons: Person, part: int = 1, shift: float = 0.0) -> RawPrediction:
    """What a parser says of these people on a canvas of `size`: their boxes as masks, moved by `shift` pixels."""
    scale = size[0] / IMAGE[0]
    part_map, person_map = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    keypoints = np.zeros((SLOTS, 17, 3), np.float32)
    scores, part_scores = np.zeros(SLOTS, np.float32), np.zeros((SLOTS, 14), np.float32)
    for slot, (x, y, height, score) in enumerate(persons):
        keypoints[slot] = standing_person(*((np.array((x, y)) + 0.5) * scale - 0.5), height * scale)
        keypoints[slot, :, 0] += shift
        (x0, y0), (x1, y1) = keypoints[slot, :, :2].min(0), keypoints[slot, :, :2].max(0)
        region = np.s_[max(int(y0), 0) : int(y1) + 1, max(int(x0), 0) : int(x1) + 1]
        part_map[region], person_map[region] = part, slot + 1
        scores[slot], part_scores[slot, part - 1] = score, 0.5
    return RawPrediction(part_map, person_map, keypoints, scores, part_scores, 0)


def united(coarse: RawPrediction, fine: RawPrediction) -> RawPrediction:
    return unite(coarse, fine, BOX_COARSE, BOX_FINE)


LARGE: Person = (200.0, 300.0, 500.0, 0.9)
SMALL: Person = (600.0, 300.0, 100.0, 0.6)


def scored(score: float, similarity: float) -> float:
    """A probability whose log-odds agreement has raised, or lack of it lowered."""
    logit = math.log(score / (1 - score)) + AGREEMENT * (similarity - USUAL)
    return 1 / (1 + math.exp(-logit))


def test_the_large_come_from_the_coarse_canvas_and_the_small_from_the_fine_one() -> None:
    coarse, fine = people(COARSE, LARGE, SMALL, part=2), people(FINE, LARGE, SMALL, part=3)
    found = united(coarse, fine)
    assert found.person_score.tolist() == pytest.approx([scored(0.9, 1), scored(0.6, 1), 0, 0, 0, 0], abs=1e-3)
    assert set(np.unique(found.part_map[found.person_map == 1])) == {2}
    assert set(np.unique(found.part_map[found.person_map == 2])) == {3}
    assert found.part_score[0, 1] == found.part_score[1, 2] == 0.5
    np.testing.assert_allclose(found.keypoints[0], fine.keypoints[0], atol=0.01)  # they agree on where LARGE is
    assert found.part_map.shape == FINE


@pytest.mark.parametrize(
    ("height", "coarse", "fine", "part"), [(250, 0.8, 0.8, 3), (250, 0.9, 0.8, 2), (500, 0.8, 0.9, 2)]
)
def test_the_surer_canvas_gives_the_pixels(height: float, coarse: float, fine: float, part: int) -> None:
    """A person of 250 px of the image has `EVEN` px on the fine canvas; of a taller one the coarse one knows more."""
    on_coarse = people(COARSE, (200, 300, height, coarse), part=2)
    on_fine = people(FINE, (200, 300, height, fine), part=3)
    found = united(on_coarse, on_fine)
    assert set(np.unique(found.part_map)) == {0, part}
    assert found.person_score[0] == pytest.approx(scored(coarse if part == 2 else fine, 1), abs=1e-3)


def test_a_joint_that_only_the_other_canvas_found_is_taken_from_it() -> None:
    coarse, fine = people(COARSE, SMALL), people(FINE, SMALL)
    wrong = fine.keypoints.copy()
    wrong[0, 15, :2] += 40  # an ankle that the fine canvas only guesses
    wrong[0, 15, 2] = 0.05
    wrong[0, 16] = 0  # and one that it does not have
    found = united(coarse, fine._replace(keypoints=wrong))
    np.testing.assert_allclose(found.keypoints[0, :, :2], fine.keypoints[0, :, :2], atol=0.01)
    np.testing.assert_allclose(found.keypoints[0, :, 2], coarse.keypoints[0, :, 2])


def test_near_joints_are_averaged_and_far_ones_come_from_the_surer_canvas() -> None:
    coarse, fine = people(COARSE, SMALL), people(FINE, SMALL)
    moved = fine.keypoints.copy()
    moved[0, 9, 0] += 2  # of a person of 80 px: near
    moved[0, 10, 0] += 20  # far
    found = united(coarse, fine._replace(keypoints=moved))
    weights = FAVOR * fine.keypoints[0, 9, 2], coarse.keypoints[0, 9, 2]
    share = weights[0] / sum(weights)
    assert found.keypoints[0, 9, 0] == pytest.approx(fine.keypoints[0, 9, 0] + 2 * share, abs=0.02)
    assert found.keypoints[0, 10, 0] == pytest.approx(moved[0, 10, 0])


def test_the_more_alike_the_poses_the_higher_the_score() -> None:
    shifts = (0.0, 1.0, 2.0)
    scores = [united(people(COARSE, LARGE, shift=shift), people(FINE, LARGE)).person_score[0] for shift in shifts]
    assert scores[0] > scores[1] > scores[2] > scored(0.9, 0)


def test_masks_move_to_the_fine_frame() -> None:
    found = united(people(COARSE, LARGE), people(FINE))
    expected = people(FINE, LARGE)
    overlap = (found.person_map > 0) & (expected.person_map > 0)
    either = (found.person_map > 0) | (expected.person_map > 0)
    assert overlap.sum() / either.sum() > 0.93  # a coarse pixel is 2.5 fine ones


def test_who_is_on_one_canvas_alone_is_kept() -> None:
    found = united(people(COARSE, LARGE), people(FINE, SMALL))
    assert found.person_score.tolist() == pytest.approx([scored(0.9, 0), scored(0.6, 0), 0, 0, 0, 0])
    assert found.overflow == 0


def halved(whole: RawPrediction, joints: tuple[list[int], list[int]], placed: float = 0.05) -> RawPrediction:
    """The first person as two of a left and a right half, each with the joints of `joints` and the others placed."""
    keypoints, scores, person_map = whole.keypoints.copy(), whole.person_score.copy(), whole.person_map.copy()
    middle = whole.keypoints[0, :, 0].mean()
    right = (person_map == 1) & (np.arange(person_map.shape[1]) > middle)
    person_map[right] = 2
    keypoints[1], scores[1] = keypoints[0], scores[0]
    for slot, found in enumerate(joints):
        others = np.setdiff1d(np.arange(17), found)
        keypoints[slot, others, 2] = placed
        keypoints[slot, others, :2] += 30
    return whole._replace(keypoints=keypoints, person_score=scores, person_map=person_map)


FACE_AND_LEFT, RIGHT = [0, 1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]


def test_two_halves_of_a_person_whom_the_coarse_canvas_has_whole_are_that_person() -> None:
    whole, fine = people(COARSE, LARGE, part=2), halved(people(FINE, LARGE, part=3), (FACE_AND_LEFT, RIGHT))
    found = united(whole, fine)
    assert (found.person_score > 0).sum() == 1
    assert set(np.unique(found.part_map)) == {0, 2}
    assert (found.keypoints[0, :, 2] > 0.1).all()


def test_and_so_are_those_of_the_coarse_canvas() -> None:
    coarse, whole = halved(people(COARSE, LARGE, part=2), (FACE_AND_LEFT, RIGHT)), people(FINE, LARGE, part=3)
    found = united(coarse, whole)
    assert (found.person_score > 0).sum() == 1
    assert set(np.unique(found.part_map)) == {0, 3}


def test_two_people_whom_the_coarse_canvas_has_as_one_are_kept() -> None:
    """Each has all joints: they are no halves."""
    behind = (LARGE[0] + 20, *LARGE[1:])
    found = united(people(COARSE, LARGE), people(FINE, LARGE, behind))
    assert (found.person_score > 0).sum() == 2


def test_a_piece_of_somebody_else_is_not_kept() -> None:
    piece: Person = (200.0, 300.0, 90.0, 0.3)  # inside LARGE, and not alike
    found = united(people(COARSE, LARGE), people(FINE, piece))
    assert (found.person_score > 0).sum() == 1
    assert found.person_score[0] == pytest.approx(scored(0.9, 0))


def test_pixels_that_two_people_claim_are_those_of_the_fine_canvas() -> None:
    before: Person = (260.0, 380.0, 180.0, 0.5)  # stands before LARGE and shares a corner with the box
    found = united(people(COARSE, LARGE, part=2), people(FINE, LARGE, before, part=3))
    alone = people(FINE, LARGE, before, part=3)
    np.testing.assert_array_equal(found.person_map == 2, alone.person_map == 2)


def test_more_people_than_slots_are_counted() -> None:
    small = [(100.0 * i + 60, 500.0, 60.0, 0.5 - 0.01 * i) for i in range(6)]
    found = united(people(COARSE, (400.0, 200.0, 300.0, 0.9)), people(FINE, *small))
    assert (found.person_score > 0).all()
    assert found.overflow == 1


def test_nobody_on_both_is_nobody() -> None:
    found = united(people(COARSE), people(FINE))
    assert not any(np.any(value) for value in found)


def test_one_pose_is_like_itself_and_unlike_a_neighbor() -> None:
    poses = np.stack([standing_person(50, 100, EVEN), standing_person(120, 100, EVEN)])
    similarity = pose_similarity(poses, poses)
    np.testing.assert_allclose(similarity.diagonal(), 1)
    assert similarity[0, 1] < 0.1
    nothing = np.zeros((1, 17, 3), np.float32)
    assert pose_similarity(poses, nothing).max() == 0
    assert pose_similarity(poses, nothing[:0]).shape == (2, 0)


def test_poses_that_are_not_very_alike_are_not_mixed() -> None:
    coarse, fine = people(COARSE, SMALL, shift=3.5), people(FINE, SMALL)
    missing = fine.keypoints.copy()
    missing[0, 16] = 0
    found = united(coarse, fine._replace(keypoints=missing))
    assert (found.person_score > 0).sum() == 1  # one person all the same
    np.testing.assert_array_equal(found.keypoints[0], missing[0])


def test_a_joint_far_from_all_of_the_surer_pose_is_not_taken() -> None:
    coarse, fine = people(COARSE, SMALL), people(FINE, SMALL)
    strayed, missing = coarse.keypoints.copy(), fine.keypoints.copy()
    strayed[0, 16, 0] += 40  # 100 pixels of the fine canvas; the person has 80
    missing[0, 16] = 0
    found = united(coarse._replace(keypoints=strayed), fine._replace(keypoints=missing))
    np.testing.assert_array_equal(found.keypoints[0, 16], 0)
    assert (found.keypoints[0, :16, 2] > 0).all()
