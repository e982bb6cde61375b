"""Calibrated person scores."""

from __future__ import annotations

import math

import pytest
import torch

from model.decoder.calibration import calibrate
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


def test_a_score_is_the_logistic_of_score_and_area() -> None:
    found = calibrate(poses((0.5, 10.0)), (1.0, 2.0, 0.5))
    expected = 1 / (1 + math.exp(-(1 + 2 * math.log(0.5) + 0.5 * math.log(100))))
    assert found.score[0].tolist() == [pytest.approx(expected), 0, 0]


def test_people_are_sorted_anew_with_all_that_is_theirs() -> None:
    before = poses((0.6, 4.0), (0.5, 40.0), (0.4, 4.0))
    after = calibrate(before, (0.0, 1.0, 1.0))
    order = [1, 0, 2, 3, 4]
    assert (after.score.diff() <= 0).all()
    assert torch.equal(after.label[0], before.label[0, order])
    for name in ("xy_cell", "joint_score", "found"):
        assert torch.equal(getattr(after, name)[0], getattr(before, name)[0, order]), name
    assert torch.equal(after.overflow, before.overflow)


def test_equal_people_keep_their_order() -> None:
    after = calibrate(poses((0.5, 8.0), (0.5, 8.0)), (0.0, 1.0, 1.0))
    assert after.label[0].tolist() == [0, 1, -1, -1]
