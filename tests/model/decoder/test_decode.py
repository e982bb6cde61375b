from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import DecoderConfig
from model.decoder.decode import Decoder, People
from model.decoder.matching import match_dykstra
from model.maps import HeadMaps
from model.taxonomy import DENSEPOSE_COCO
from tests.model.decoder.ideal_maps import ideal_maps, stack, standing_person

CONFIG = DecoderConfig(max_people=4)
SIZE = (48, 64)
NOBODY = np.zeros((0, 17, 3), np.float32)


def scene(*poses: np.ndarray, noise: float = 0.0) -> HeadMaps:
    """Ideal maps of people whose bodies are boxes of five parts, one above the other."""
    person, part = np.zeros(SIZE, np.int64), np.zeros(SIZE, np.int64)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for index, pose in enumerate(poses):
        (left, top), (right, bottom) = pose[:, :2].min(0), pose[:, :2].max(0)
        body = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
        person[body] = index + 1
        part[body] = (1 + 5 * (y - top) / (bottom - top + 1)).astype(np.int64)[body]
    maps = ideal_maps(DENSEPOSE_COCO, np.stack(poses) if poses else NOBODY, person, part)
    draw = torch.Generator().manual_seed(0)
    return HeadMaps(*(m + noise * torch.randn(m.shape, generator=draw) for m in maps))


TWO = (standing_person(16.3, 24.1, 40), standing_person(45.7, 25.6, 34))


def decode(maps: HeadMaps, config: DecoderConfig = CONFIG) -> People:
    with torch.no_grad():
        return Decoder(DENSEPOSE_COCO, config)(maps)


def check_contract(people: People, size: tuple[int, int] = SIZE) -> None:
    batch = len(people.part_map)
    assert people.part_map.shape == people.person_map.shape == (batch, 4 * size[0], 4 * size[1])
    assert people.keypoints.shape[2:] == (17, 3)
    assert people.part_score.shape[2] == 14
    assert people.overflow.dtype == torch.int32
    assert torch.equal(people.part_map > 0, people.person_map > 0)
    assert torch.isfinite(people.keypoints).all()
    assert (people.person_score.diff(dim=1) <= 0).all()
    assert not people.keypoints[people.keypoints[..., 2] == 0].any()


@pytest.mark.parametrize("vote", ["scatter", "tent"])
@pytest.mark.parametrize("matcher", ["dykstra", "greedy"])
def test_ideal_maps_give_back_the_people(vote: str, matcher: str) -> None:
    people = decode(scene(*TWO), dataclasses.replace(CONFIG, vote=vote, matcher=matcher))
    check_contract(people)
    assert (people.person_score[0] > 0).tolist() == [True, True, False, False]
    order = people.keypoints[0, :2, 0, 0].argsort().tolist()
    for slot, pose in zip(order, TWO, strict=True):
        np.testing.assert_allclose(people.keypoints[0, slot, :, :2], 4 * pose[:, :2] + 1.5, atol=3)
        assert (people.keypoints[0, slot, :, 2] > 0.7).all()
        x, y = (4 * pose[11:13, :2].mean(0) + 1.5).astype(int)
        assert people.person_map[0, y, x] == slot + 1
        assert (people.part_score[0, slot] > 0).tolist() == [True] * 5 + [False] * 9
    body = people.person_map[0] > 0
    assert body[:, 128:].any()
    assert (people.person_map[0, :, :120][body[:, :120]] == order[0] + 1).all()
    assert (people.person_map[0, :, 136:][body[:, 136:]] == order[1] + 1).all()
    assert people.overflow.tolist() == [0]


def test_zero_people() -> None:
    people = decode(scene())
    check_contract(people)
    assert not any(output.any() for output in people)
    parts_without_joints = scene(*TWO)._replace(heatmap_logits=torch.full((1, 17, *SIZE), -9.0))
    assert not any(output.any() for output in decode(parts_without_joints))


def test_one_joint_is_a_person_if_the_threshold_lets_it() -> None:
    pose = TWO[0].copy()
    pose[1:, 2] = 0
    assert not decode(scene(pose)).person_map.any()
    people = decode(scene(pose), dataclasses.replace(CONFIG, person_threshold=0.02))
    check_contract(people)
    assert people.person_score[0, 0].item() == pytest.approx(1 / 17, abs=1e-3)
    assert people.person_map.unique().tolist() == [0, 1]


def test_a_person_cut_by_the_border() -> None:
    pose = standing_person(3.0, 24.0, 40)
    pose[:, 2] = pose[:, 0] >= 0
    people = decode(scene(pose))
    check_contract(people)
    np.testing.assert_array_equal(people.keypoints[0, 0, :, 2] > 0, pose[:, 2] > 0)
    assert (people.person_score[0] > 0).sum() == 1


def test_people_beyond_the_slots_are_counted() -> None:
    poses = [standing_person(x, y, 20) for x in (7, 23, 39, 55) for y in (12, 35)]
    people = decode(scene(*poses), dataclasses.replace(CONFIG, max_people=3))
    check_contract(people)
    assert people.overflow.tolist() == [5]
    assert (people.person_score[0] > 0).all()


def test_people_whose_joints_found_no_room_are_counted() -> None:
    poses = [standing_person(x, y, 20) for x in (7, 23, 39, 55) for y in (12, 35)]
    for room, missing in ((8, 0), (6, 2), (5, 3)):
        people = decode(scene(*poses), dataclasses.replace(CONFIG, max_people=16, max_candidates=room))
        assert people.overflow.tolist() == [missing]


def test_legs_stay_with_their_owner() -> None:
    """A child in front of an adult: its head covers a thigh, and an adult's knee and ankle are beside its own."""
    adult, child = standing_person(30, 24, 44), standing_person(35, 35, 22)
    person, part = np.zeros(SIZE, np.int64), np.zeros(SIZE, np.int64)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for index, (pose, width) in enumerate(((adult, 2.0), (child, 1.5)), start=1):
        for a, b in DENSEPOSE_COCO.limbs:
            for t in np.linspace(0, 1, 40):
                px, py = pose[a, :2] + t * (pose[b, :2] - pose[a, :2])
                person[np.hypot(px - x, py - y) < width] = index
    part[person > 0] = 1
    poses = np.stack((adult, child))
    config = dataclasses.replace(CONFIG, radius=16.0, keypoint_threshold=0.5, peak_window=3, association_limit=0.3)
    people = decode(ideal_maps(DENSEPOSE_COCO, poses, person, part, radius_cell=4.0), config)
    assert (people.person_score[0] > 0).sum() == 2
    order = people.keypoints[0, :2, 0, 1].argsort()  # by the nose: the adult first
    owner = np.append(0, order.argsort().numpy() + 1)[people.person_map[0, 1::4, 1::4].numpy()]
    for index, pose in enumerate(poses, start=1):
        for joint in (13, 14, 15, 16):
            column, row = pose[joint, :2].round().astype(int)
            assert owner[row, column] == person[row, column]
        assert (owner[person == index] == index).mean() > 0.9


def test_a_torso_whose_field_ends_at_the_neighbours_joint_stays_with_its_person() -> None:
    maps = scene(*TWO)
    config = replace(CONFIG, association_power=0.5)
    people = decode(maps, config)
    torso = people.part_map[0] == 1
    mine = torso & (people.person_map[0] == people.person_map[0][torso].mode().values)
    rows, columns = (mine.nonzero().float().mean(0) / 4).round().long().tolist()
    owner = int(people.person_map[0, rows * 4 + 2, columns * 4 + 2]) - 1
    other = people.keypoints[0, 1 - owner, 9, :2]  # the neighbour's left wrist, in canvas pixels
    field = maps.projection_field.clone()
    target = (other - 1.5) / 4 - torch.tensor((columns, rows))
    field[0, :, rows, columns] = target
    led_astray = decode(maps._replace(projection_field=field), config)
    kept = decode(maps._replace(projection_field=field), replace(config, association_part_weight=4.0))
    pixel = (0, rows * 4 + 2, columns * 4 + 2)
    assert torso.any()
    assert int(led_astray.person_map[pixel]) - 1 == 1 - owner
    assert int(kept.person_map[pixel]) - 1 == owner


def test_mirrored_people_tie_and_both_are_kept() -> None:
    left = standing_person(16.0, 24.0, 40)
    right = left * (-1, 1, 1) + (SIZE[1] - 1, 0, 0)
    people = decode(scene(left, right.astype(np.float32)))
    check_contract(people)
    assert (people.person_score[0] > 0).sum() == 2
    torch.testing.assert_close(people.person_score[0, 0], people.person_score[0, 1], atol=1e-4, rtol=0)


def test_an_image_does_not_depend_on_its_batch_mates() -> None:
    images = [scene(*TWO, noise=0.4), scene(), scene(TWO[1], noise=0.7), scene(*TWO[::-1], noise=0.2)]
    together = decode(stack(*images))
    for index, image in enumerate(images):
        for batched, alone in zip(together, decode(image), strict=True):
            assert torch.equal(batched[index : index + 1], alone)


def test_half_precision_maps_are_decoded_in_float32() -> None:
    maps = scene(*TWO)
    low = decode(HeadMaps(*(m.bfloat16() for m in maps)))
    rounded = decode(HeadMaps(*(m.bfloat16().float() for m in maps)))
    assert all(torch.equal(a, b) for a, b in zip(low, rounded, strict=True))


@pytest.mark.parametrize(
    "change", [{"max_people": 0}, {"max_people": 256}, {"peak_window": 4}, {"max_candidates": 1, "max_people": 18}]
)
def test_an_impossible_configuration_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="use"):
        Decoder(DENSEPOSE_COCO, dataclasses.replace(CONFIG, **change))


def test_a_wrong_grouping_is_unlearned_through_the_matching() -> None:
    """Limb maps favour the elbow of the other person; the assignment's loss alone must put that right."""
    maps = scene(*TWO)
    upper_arm = DENSEPOSE_COCO.limbs.index((5, 7))
    shoulders, elbows = ([pose[k, :2] for pose in TWO] for k in (5, 7))
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    wrong = np.full(SIZE, -1.0, np.float32)
    for start, end in zip(shoulders, elbows[::-1], strict=True):
        for t in np.linspace(0, 1, 80):
            px, py = start + t * (end - start)
            wrong[np.hypot(x - px, y - py) < 1.5] = 1.0
    maps.limb_logits[0, upper_arm] = torch.from_numpy(wrong)
    maps = maps._replace(heatmap_logits=maps.heatmap_logits.clamp(-3, 3))
    learned = [maps.heatmap_logits, maps.offsets, maps.limb_logits]
    for tensor in learned:
        tensor.requires_grad_()
    decoder = Decoder(DENSEPOSE_COCO, CONFIG)

    def grouped_rightly() -> bool:
        keypoints = decode(maps).keypoints[0, :2, :, 0]
        return bool(((keypoints[:, 5] - keypoints[:, 7]).abs() < 40).all())

    def assignment_loss() -> torch.Tensor:
        candidates = decoder.detect(maps)
        rows, cols = candidates.valid[:, [5]], candidates.valid[:, [7]]
        scores = decoder.score(maps, candidates)[:, [upper_arm]]
        # Of a wider window the votes would saturate at 1: weigh a pair by its joints, as a training loss does.
        scores = scores * (candidates.score[:, [5], :, None] * candidates.score[:, [7], None])
        soft = match_dykstra(scores, rows, cols, 0.1, 10, 5, average=True)[0, 0, :2, :2]
        truth = [
            [(start - end).norm() < 10 for end in candidates.xy_cell[0, 7, :2].detach()]
            for start in candidates.xy_cell[0, 5, :2].detach()
        ]
        soft = soft.clamp(1e-4, 1 - 1e-4)
        return torch.nn.functional.binary_cross_entropy(soft, torch.tensor(truth).float())

    assert not grouped_rightly()
    optimiser = torch.optim.Adam(learned, lr=0.05)
    for step in range(60):
        optimiser.zero_grad()
        loss = assignment_loss()
        loss.backward()
        if step == 0:
            for tensor in learned:
                assert torch.isfinite(tensor.grad).all()
                assert tensor.grad.abs().max() > 0
        optimiser.step()
        if grouped_rightly():
            break
    assert grouped_rightly()


def test_a_body_far_from_every_joint_is_nobodys_with_a_limit() -> None:
    """What was a person who reaches across the canvas: a body whose joints were not found."""
    found, lost = standing_person(12, 24, 36), standing_person(52, 24, 36)
    maps = scene(found, lost)
    heat = maps.heatmap_logits.clone()
    heat[..., 32:] = -12.0
    maps = maps._replace(heatmap_logits=heat, projection_field=torch.zeros_like(maps.projection_field))
    across = decode(maps)
    limited = decode(maps, replace(CONFIG, association_limit=0.25))
    assert int((across.person_score > 0).sum()) == int((limited.person_score > 0).sum()) == 1
    right = np.s_[0, :, 160:]
    assert (across.person_map[right] == 1).any()
    assert not limited.person_map[right].any()
    left = np.s_[0, :, :96]
    assert torch.equal(limited.person_map[left], across.person_map[left])
