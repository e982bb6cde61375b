"""Losses of people's centers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.config import DecoderConfig
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures
from training.losses.center_losses import center_loss, centers_of, regression_loss
from training.transforms.fields import center_maps
from training.transforms.targets import Batch, collate, encode


@pytest.fixture(scope="module")
def batch() -> Batch:
    samples = [draw_figures(DENSEPOSE_COCO, (96, 128), people=n, seed=n) for n in (2, 1)]
    return collate([(s.image, encode(s, DENSEPOSE_COCO, DecoderConfig())) for s in samples])


def test_centers_are_the_middles_of_boxes(batch: Batch) -> None:
    center, scale, exists = centers_of(batch)
    assert exists.sum(1).tolist() == [2, 1]
    x0, y0, x1, y1 = batch.boxes[1, 0].tolist()
    np.testing.assert_allclose(4 * center[1, 0] + 1.5, ((x0 + x1) / 2, (y0 + y1) / 2), rtol=1e-5)
    np.testing.assert_allclose(scale[1, 0], np.sqrt((x1 - x0) * (y1 - y0)) / 4, rtol=1e-5)


def test_centers_in_their_cells_cost_nothing_and_elsewhere_much(batch: Batch) -> None:
    center, _, exists = centers_of(batch)
    logits = torch.full((2, 1, 24, 32), -15.0)
    for row, person in exists.nonzero().tolist():
        x, y = center[row, person].round().int().tolist()
        logits[row, 0, y, x] = 15.0
    assert center_loss(logits, batch) < 1e-3
    assert center_loss(logits.roll(12, -1), batch) > 10
    assert center_loss(torch.full_like(logits, -15.0), batch) > 10


def test_a_center_missed_by_a_cell_costs_less_than_one_far_away(batch: Batch) -> None:
    center, _, _ = centers_of(batch)
    x, y = center[1, 0].round().int().tolist()
    near, far = torch.full((2, 1, 24, 32), -15.0), torch.full((2, 1, 24, 32), -15.0)
    near[1, 0, y, x + 1] = 2.0
    far[1, 0, y, (x + 14) % 32] = 2.0
    assert center_loss(near, batch) < center_loss(far, batch)


def test_ways_to_the_joints_cost_their_error_over_the_scale(batch: Batch) -> None:
    center, scale, exists = centers_of(batch)
    ways = torch.zeros(2, 17, 2, 24, 32)
    x, y = torch.meshgrid(torch.arange(32.0), torch.arange(24.0), indexing="xy")
    for row, person in exists.nonzero().tolist():
        column, line = center[row, person].round().int().tolist()
        near = np.s_[:, :, line - 1 : line + 2, column - 1 : column + 2]
        joints = (batch.joints[row, person, :, :2] - 1.5) / 4
        ways[row][near] = (joints[:, :, None, None] - torch.stack((x, y)))[near]
    assert regression_loss(ways, batch) < 1e-3
    shifted = regression_loss(ways + 1.0, batch)
    expected = sum(2.0 / float(scale[row, person]) for row, person in exists.nonzero().tolist())
    assert float(shifted) == pytest.approx(expected, rel=0.02)


def test_unlabelled_joints_have_no_loss(batch: Batch) -> None:
    unlabelled = batch._replace(joints=torch.zeros_like(batch.joints))
    assert regression_loss(torch.ones(2, 17, 2, 24, 32), unlabelled) == 0


def test_label_maps_say_where_centers_are() -> None:
    joints = np.array([[[4.0, 4], [8, 12]], [[20, 4], [24, 12]]], np.float32)
    center, ways = center_maps(joints, np.ones((2, 2), bool), (16, 32))
    assert np.argwhere(center[0]).tolist() == [[8, 6], [8, 22]]
    assert ways[:, :, 8, 6].tolist() == [[-2, -4], [2, 4]]
    assert ways[:, :, 9, 23].tolist() == [[-3, -5], [1, 3]]
