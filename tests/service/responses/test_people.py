"""People in the image's pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from model.taxonomy import PASCAL_PERSON_PART
from service.parsing.parser import Parsed
from service.responses.overlay import overlay
from service.responses.people import people_of

PLACED = 0.05


def with_a_placed_joint(parsed: Parsed, placed_score: float) -> Parsed:
    """`parsed`, with a third joint of person 1 at canvas (20, 75) that has the score of placed ones."""
    keypoints = parsed.output.keypoints.copy()
    keypoints[0, 2] = 20, 75, PLACED
    return replace(parsed, output=parsed.output._replace(keypoints=keypoints), placed_score=placed_score)


def draw(parsed: Parsed) -> np.ndarray:
    return np.asarray(overlay(Image.new("RGB", parsed.header.size_image[::-1]), parsed, PASCAL_PERSON_PART))


def test_a_joint_that_the_center_placed_has_v_1_and_one_that_was_found_v_2(parsed: Parsed) -> None:
    people = people_of(with_a_placed_joint(parsed, PLACED), PASCAL_PERSON_PART, "none")
    assert people[0].keypoints[2::3][:4] == [2, 2, 1, 0]
    assert people[0].keypoint_scores[:4] == [0.9, 0.9, PLACED, 0]
    assert people[0].keypoints[6:8] == [31.5, 117.5]  # canvas (20, 75) in the image
    assert people[1].keypoints[2::3][:4] == [2, 2, 0, 0]


def test_a_parser_that_places_no_joints_has_none_with_v_1(parsed: Parsed) -> None:
    people = people_of(with_a_placed_joint(parsed, 0.0), PASCAL_PERSON_PART, "none")
    assert people[0].keypoints[2::3][:4] == [2, 2, 2, 0]


def test_placed_joints_are_not_drawn(parsed: Parsed) -> None:
    np.testing.assert_array_equal(draw(with_a_placed_joint(parsed, PLACED)), draw(parsed))
    assert (draw(with_a_placed_joint(parsed, 0.0)) != draw(parsed)).any()
