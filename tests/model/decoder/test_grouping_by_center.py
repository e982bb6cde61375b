"""What limbs missed is joined, and what was not found is placed, by people's centers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.config import DecoderConfig
from model.decoder.decode import Decoder, People
from model.maps import HeadMaps
from model.taxonomy import DENSEPOSE_COCO
from tests.model.decoder.ideal_maps import ideal_maps, standing_person

SIZE = (48, 64)
PAPER = DecoderConfig(radius=16.0, keypoint_threshold=0.3)
CENTERS = DecoderConfig(radius=16.0, keypoint_threshold=0.3, center_weight=0.5, limb_threshold=0.15)
LEFT_ARM, RIGHT_ARM = [5, 7, 9], [6, 8, 10]
HIPS = (11, 12)
LEGS = (13, 14, 15, 16)


def scene(*people: np.ndarray) -> HeadMaps:
    person, part = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    for index, pose in enumerate(people, 1):
        x, y = pose[:, 0], pose[:, 1]
        region = np.s_[max(int(y.min()), 0) : int(y.max()) + 1, max(int(x.min()), 0) : int(x.max()) + 1]
        person[region], part[region] = index, 1
    return ideal_maps(DENSEPOSE_COCO, np.stack(people), person, part, radius_cell=4.0)


def decode(maps: HeadMaps, config: DecoderConfig) -> People:
    return Decoder(DENSEPOSE_COCO, config)(maps)


def count(people: People) -> int:
    return int((people.person_score > 0).sum())


def without_joints(maps: HeadMaps, joints: tuple[int, ...]) -> HeadMaps:
    heat = maps.heatmap_logits.clone()
    heat[:, list(joints)] = -12
    return maps._replace(heatmap_logits=heat)


def test_people_are_found_without_any_limb() -> None:
    maps = scene(standing_person(16, 24, 36), standing_person(46, 24, 36))
    limbless = maps._replace(limb_logits=torch.full_like(maps.limb_logits, -12.0))
    assert count(decode(limbless, PAPER)) != 2
    people = decode(limbless, CENTERS)
    assert count(people) == 2
    assert (people.keypoints[0, :2, :, 2] > 0).all()


def test_limbs_alone_group_as_in_the_paper() -> None:
    maps = scene(standing_person(16, 24, 36), standing_person(46, 24, 36))
    lost = maps._replace(center_logits=torch.full_like(maps.center_logits, -12.0))
    with_limbs, paper = decode(lost, CENTERS), decode(lost, PAPER)
    assert count(with_limbs) == count(paper) == 2
    torch.testing.assert_close(with_limbs.keypoints, paper.keypoints)


def test_legs_that_no_limb_reaches_join_their_person() -> None:
    maps = without_joints(scene(standing_person(16, 24, 36), standing_person(46, 24, 36)), HIPS)
    assert count(decode(maps, PAPER)) > 2
    people = decode(maps, CENTERS)
    assert count(people) == 2
    assert (people.keypoints[0, :2][:, list(LEGS), 2] > 0).all()
    assert (people.keypoints[0, :2][:, list(HIPS), 2] == 0).all()


def test_limbs_that_cross_from_one_person_to_the_other_do_not_join_them() -> None:
    maps = scene(standing_person(16, 24, 36), standing_person(46, 24, 36))
    heat = torch.full_like(maps.heatmap_logits, -12.0)  # of each one arm is seen: nothing speaks against one person
    heat[:, RIGHT_ARM, :, :32] = maps.heatmap_logits[:, RIGHT_ARM, :, :32]
    heat[:, LEFT_ARM, :, 32:] = maps.heatmap_logits[:, LEFT_ARM, :, 32:]
    limbs = torch.full_like(maps.limb_logits, 12.0)  # as in a row of people, everywhere
    people = decode(maps._replace(heatmap_logits=heat, limb_logits=limbs), CENTERS)
    assert count(people) == 2
    joints = {tuple((keypoints[:, 2] > 0).nonzero().flatten().tolist()) for keypoints in people.keypoints[0, :2]}
    assert joints == {tuple(LEFT_ARM), tuple(RIGHT_ARM)}


def test_joints_that_were_not_found_are_placed_with_the_score_that_says_so() -> None:
    pose = standing_person(30, 24, 36)
    maps = without_joints(scene(pose), HIPS)
    config = DecoderConfig(**{**CENTERS.__dict__, "fill_score": 0.05})
    keypoints = decode(maps, config).keypoints[0, 0]
    torch.testing.assert_close(keypoints[list(HIPS), 2], torch.full((2,), 0.05))
    np.testing.assert_allclose((keypoints[list(HIPS), :2] - 1.5) / 4, pose[list(HIPS), :2], atol=0.05)
    seen = [k for k in range(17) if k not in HIPS]
    assert (keypoints[seen, 2] > 0.3).all()


def test_joints_outside_the_canvas_are_not_placed() -> None:
    pose = standing_person(30, 38, 36)  # knees and ankles below the canvas of 48 rows
    maps = scene(pose)
    below = pose[:, 1] >= SIZE[0] - 0.5
    assert below.sum() == 2
    heat = maps.heatmap_logits.clone()
    heat[:, torch.from_numpy(below)] = -12
    config = DecoderConfig(**{**CENTERS.__dict__, "fill_score": 0.05})
    keypoints = decode(maps._replace(heatmap_logits=heat), config).keypoints[0, 0]
    assert (keypoints[torch.from_numpy(below), 2] == 0).all()


def test_nobody_is_placed_where_nobody_is() -> None:
    maps = scene(standing_person(30, 24, 36))
    nobody = maps._replace(heatmap_logits=torch.full_like(maps.heatmap_logits, -12.0))
    config = DecoderConfig(**{**CENTERS.__dict__, "fill_score": 0.05})
    assert count(decode(nobody, config)) == 0


@pytest.mark.parametrize("config", [PAPER, CENTERS], ids=["paper", "centers"])
def test_a_result_does_not_depend_on_the_rest_of_the_batch(config: DecoderConfig) -> None:
    one, two = scene(standing_person(16, 24, 36)), scene(standing_person(20, 24, 30), standing_person(46, 24, 36))
    both = decode(HeadMaps(*(torch.cat(m) for m in zip(one, two, strict=True))), config)
    for index, maps in enumerate((one, two)):
        for alone, among in zip(decode(maps, config), both, strict=True):
            torch.testing.assert_close(alone[0], among[index])
