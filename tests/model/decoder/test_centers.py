"""What people's centers say of joint candidates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from model.decoder.centers import (
    TOLERANCE,
    Centers,
    center_agreement,
    center_responses,
    centers_disagree,
    find_centers,
)
from model.decoder.peaks import Candidates

SIZE = (24, 32)


def maps(*centers: tuple[int, int, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits with these (x, y, probability), and a regression to (x - 2, y - 4) and (x + 6, y + 4)."""
    logits = torch.full((1, 1, *SIZE), -12.0)
    for x, y, probability in centers:
        logits[0, 0, y, x] = math.log(probability / (1 - probability))
    regression = torch.tensor([[-2.0, -4.0], [6.0, 4.0]])[None, :, :, None, None].expand(1, 2, 2, *SIZE)
    return logits, regression.contiguous()


def test_centers_come_in_reading_order_with_their_joints_and_scale() -> None:
    found = find_centers(*maps((20, 4, 0.6), (5, 15, 0.9), (25, 15, 0.05)), count=4, threshold=0.1)
    assert found.valid.tolist() == [[True, True, False, False]]
    np.testing.assert_allclose(found.score[0], [0.6, 0.9, 0, 0], atol=1e-5)
    assert found.xy_cell[0, :2].tolist() == [[[18, 0], [26, 8]], [[3, 11], [11, 19]]]
    torch.testing.assert_close(found.scale[0, :2], torch.tensor([8.0, 8.0]))


def test_of_two_centers_close_together_one_is_left() -> None:
    found = find_centers(*maps((10, 10, 0.6), (12, 11, 0.9)), count=4, threshold=0.1)
    assert int(found.valid.sum()) == 1
    assert found.score[0, 0] == pytest.approx(0.9, abs=1e-5)


def test_equal_neighbors_give_one_center() -> None:
    found = find_centers(*maps((10, 10, 0.8), (11, 10, 0.8)), count=4, threshold=0.1)
    assert found.valid.sum() == 1
    assert found.xy_cell[0, 0, 0].tolist() == [8, 6]


def two_people() -> tuple[Candidates, Centers]:
    """Centers 10 cells apart; two candidates of each of two classes where the centers expect them, one elsewhere."""
    xy = torch.tensor([[[5.0, 5], [15, 5]], [[5, 15], [15, 15]]])  # [K, M, 2]
    centers = Centers(
        xy.transpose(0, 1)[None], torch.full((1, 2), 10.0), torch.tensor([[0.9, 0.9]]), torch.ones(1, 2) > 0
    )
    places = torch.tensor([[[5.0, 5], [15, 5], [30, 20]], [[5, 15], [15, 15], [0, 0]]])  # [K, N, 2]
    valid = torch.tensor([[[True, True, True], [True, True, False]]])
    return Candidates(places[None], valid.float(), valid, torch.zeros(1)), centers


def test_a_candidate_responds_to_its_own_center_alone() -> None:
    candidates, centers = two_people()
    squares = center_responses(candidates, centers).square()[0]  # [K, N, M]
    assert squares[0, 0, 0] > 0.95
    assert squares[0, 0, 1] < 0.05
    assert squares[1, 1, 1] > 0.95
    assert squares[0, 2].max() < 0.01  # far from everybody
    assert squares[1, 2].max() == 0  # invalid


def test_agreement_is_the_geometric_mean_of_two_joints_of_one_center() -> None:
    candidates, centers = two_people()
    responses = center_responses(candidates, centers)
    found = center_agreement(responses, torch.tensor([[0], [1]]))[0, 0]  # [N, N]
    assert found.diagonal()[:2].min() > 0.95
    assert found[0, 1] < 0.1
    assert found[1, 0] < 0.1
    expected = max(float(responses[0, 0, 0, m] * responses[0, 1, 1, m]) for m in range(2))
    assert float(found[0, 1]) == pytest.approx(expected)


def test_centers_disagree_on_joints_that_they_know_as_different_peoples() -> None:
    candidates, centers = two_people()
    responses, limbs = center_responses(candidates, centers), torch.tensor([[0], [1]])
    found = centers_disagree(responses, center_agreement(responses, limbs), limbs)[0, 0]  # [N, N]
    assert found.tolist() == [
        [False, True, False],  # own partner, the other's, an invalid one
        [True, False, False],
        [False, False, False],  # far from every center: nobody's that is known
    ]


def test_a_joint_one_deviation_away_still_responds() -> None:
    candidates, centers = two_people()
    moved = candidates._replace(xy_cell=candidates.xy_cell + torch.tensor([-10 * TOLERANCE, 0]))
    square = center_responses(moved, centers).square()[0, 0, 0, 0]
    assert float(square) == pytest.approx(math.exp(-0.5) / (math.exp(-0.5) + 0.02), abs=1e-3)


def test_without_centers_nothing_responds() -> None:
    candidates, centers = two_people()
    nobody = centers._replace(valid=torch.zeros(1, 2) > 0)
    assert center_responses(candidates, nobody).max() < 1e-6
