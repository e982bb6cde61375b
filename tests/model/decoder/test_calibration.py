"""Calibrated person scores."""

from __future__ import annotations

import math

import pytest
import torch

from model.decoder.calibration import calibrate, part_certainty
from model.decoder.grouping import Poses


def poses(*people: tuple[float, float]) -> Poses:
    """People of (score, side of the square that their two joints span, in cells); two empty slots behind them."""
    slots = len(people) + 2
    xy, found, score = torch.zeros(1, slots, 3, 2), torch.zeros(1, slots, 3) > 0, torch.zeros(1, slots)
    for slot, (value, side) in enumerate(people):
        xy[0, slot, 0], xy[0, slot, 1] = torch.tensor([slot, 0.0]), torch.tensor([slot + side, side])
        found[0, slot, :2] = True
        score[0, slot] = value
    label = torch.where(score > 0, torch.arange(slots).float(), -1.0)
    overflow = torch.tensor([2], dtype=torch.int32)
    return Poses(xy, found.float() * 0.8, found, score, overflow, label)


def test_a_score_is_the_logistic_of_score_area_and_certainty() -> None:
    found, _ = calibrate(poses((0.5, 10.0)), (1.0, 2.0, 0.5), torch.tensor([[0.6, 0.0, 0.0]]), 3.0)
    expected = 1 / (1 + math.exp(-(1 + 2 * math.log(0.5) + 0.5 * math.log(100) + 3 * 0.6)))
    assert found.score[0].tolist() == [pytest.approx(expected), 0, 0]


def test_people_are_sorted_anew_with_all_that_is_theirs() -> None:
    before = poses((0.6, 4.0), (0.5, 40.0), (0.4, 4.0))
    after, new_slot = calibrate(before, (0.0, 1.0, 1.0), torch.zeros(1, 5), 0.0)
    order = [1, 0, 2, 3, 4]
    assert (after.score.diff() <= 0).all()
    assert torch.equal(after.label[0], before.label[0, order])
    for name in ("xy_cell", "joint_score", "found"):
        assert torch.equal(getattr(after, name)[0], getattr(before, name)[0, order]), name
    assert torch.equal(after.overflow, before.overflow)
    assert new_slot[0, order].tolist() == [0, 1, 2, 3, 4]


def test_who_has_certain_parts_comes_first() -> None:
    after, new_slot = calibrate(poses((0.5, 8.0), (0.4, 8.0)), (0.0, 1.0, 0.0), torch.tensor([[0.3, 0.8, 0, 0]]), 2.0)
    assert after.label[0].tolist() == [1, 0, -1, -1]
    assert new_slot[0].tolist() == [1, 0, 2, 3]


def test_equal_people_keep_their_order() -> None:
    after, _ = calibrate(poses((0.5, 8.0), (0.5, 8.0)), (0.0, 1.0, 1.0), torch.zeros(1, 4), 1.0)
    assert after.label[0].tolist() == [0, 1, -1, -1]


def test_certainty_is_the_mean_over_a_persons_body_of_the_likeliest_parts_probability() -> None:
    probability = torch.tensor([
        [0.1, 0.7, 0.2],  # cells of person 0
        [0.4, 0.5, 0.1],
        [0.9, 0.0, 0.1],  # background
        [0.2, 0.3, 0.5],  # of person 1
        [0.0, 0.0, 1.0],  # in nobody's reach
    ])  # fmt: skip
    logits = (probability + 1e-9).log().T[None, :, None]  # [1, 3, 1, 5]
    cell_person = torch.tensor([[[0, 0, 0, 1, 1]]])
    owned = torch.tensor([[[True, True, True, True, False]]])
    certainty = part_certainty(logits, cell_person, owned, people=3)
    torch.testing.assert_close(certainty, torch.tensor([[0.6, 0.5, 0.0]]))
