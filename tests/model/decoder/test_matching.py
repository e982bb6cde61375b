from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from model.config import DecoderConfig
from model.decoder.matching import match_dykstra, match_greedy, match_greedy_joint, round_assignment
from training.studies.matcher_table import limb_like_scores

CONFIG = DecoderConfig()
STEPS = (CONFIG.matcher_step, CONFIG.matcher_outer, CONFIG.matcher_inner)


def everything(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones(scores.shape[:-1], dtype=torch.bool), torch.ones(scores[..., 0, :].shape, dtype=torch.bool)


def hungarian(scores: torch.Tensor) -> torch.Tensor:
    best = torch.zeros_like(scores)
    for solution, matrix in zip(best, scores, strict=True):
        solution[linear_sum_assignment(matrix.numpy(), maximize=True)] = 1
    return best


@pytest.mark.parametrize("count", [4, 8, 14, 20])
def test_dykstra_finds_the_hungarian_edges(count: int) -> None:
    scores = limb_like_scores(count, 100, seed=count)
    matches = round_assignment(match_dykstra(scores, *everything(scores), *STEPS), scores, 0.1)
    best = hungarian(scores) * (scores > 0.1)
    assert (matches * best).sum() >= 0.995 * best.sum()
    assert (matches * scores).sum() >= 0.998 * (best * scores).sum()
    assert matches.sum(-1).max() <= 1
    assert matches.sum(-2).max() <= 1


def test_a_step_projects_onto_the_constraints() -> None:
    """One outer step with many sweeps is F_C of Eq. 16: compare with a plain Dykstra on three sets."""
    draw = torch.Generator().manual_seed(0)
    scores = torch.rand(5, 6, 4, generator=draw)
    ours = match_dykstra(scores, *everything(scores), step=1.7, outer=1, inner=200)
    for start, projected in zip((1.7 * scores).double().numpy(), ours, strict=True):
        point, increments = start.copy(), [np.zeros_like(start) for _ in range(3)]
        for sweep in range(3000):
            shifted = point + increments[sweep % 3]
            if sweep % 3 == 0:
                point = shifted - np.maximum(shifted.sum(1, keepdims=True) - 1, 0) / start.shape[1]
            elif sweep % 3 == 1:
                point = shifted - np.maximum(shifted.sum(0, keepdims=True) - 1, 0) / start.shape[0]
            else:
                point = np.maximum(shifted, 0)
            increments[sweep % 3] = shifted - point
        np.testing.assert_allclose(projected, point, atol=1e-4)


def test_constraints_hold_but_for_the_rest_of_the_iteration() -> None:
    scores = limb_like_scores(20, 50, seed=3)
    for steps in ((*STEPS, False), (0.1, 10, 5, True)):
        assignment = match_dykstra(scores, *everything(scores), *steps)
        assert assignment.min() >= 0
        assert assignment.sum(-1).max() < 1.05
        assert assignment.sum(-2).max() < 1.05


@pytest.mark.parametrize("match", ["dykstra", "greedy", "greedy_joint"])
def test_padding_changes_nothing(match: str) -> None:
    def solve(scores: torch.Tensor, rows: torch.Tensor, cols: torch.Tensor) -> torch.Tensor:
        if match == "dykstra":
            return match_dykstra(scores, rows, cols, *STEPS)
        if match == "greedy":
            return match_greedy(scores, rows, cols)
        return match_greedy_joint(scores, scores.mean(-1), rows, cols)

    scores = limb_like_scores(6, 4, seed=5)[:, :, :5]
    rows, cols = torch.tensor([1, 4, 2, 7, 5, 0]), torch.tensor([8, 0, 3, 6, 1])
    padded = torch.full((4, 9, 9), 0.9)
    padded[:, rows[:, None], cols] = scores
    row_mask, col_mask = torch.zeros(4, 9, dtype=torch.bool), torch.zeros(4, 9, dtype=torch.bool)
    row_mask[:, rows], col_mask[:, cols] = True, True
    result = solve(padded, row_mask, col_mask)
    torch.testing.assert_close(result[:, rows[:, None], cols], solve(scores, *everything(scores)), atol=1e-5, rtol=0)
    assert not result[:, ~row_mask[0]].any()
    assert not result[:, :, ~col_mask[0]].any()


@pytest.mark.parametrize(("rows", "cols"), [(0, 0), (0, 3), (1, 0), (1, 1)])
def test_few_or_no_candidates(rows: int, cols: int) -> None:
    scores = torch.full((1, 4, 4), 0.6)
    masks = (torch.arange(4) < rows)[None], (torch.arange(4) < cols)[None]
    for assignment in (
        match_dykstra(scores, *masks, *STEPS),
        match_greedy(scores, *masks),
        match_greedy_joint(scores, torch.ones(scores.shape[:-1]), *masks),
    ):
        matches = round_assignment(assignment, scores, 0.1)
        assert matches.sum() == min(rows, cols)


def test_greedy_takes_the_best_first() -> None:
    scores = limb_like_scores(9, 40, seed=7)
    matches = match_greedy(scores, *everything(scores))
    for matrix, match in zip(scores.numpy(), matches.numpy(), strict=True):
        left, expected = matrix.copy(), np.zeros_like(matrix)
        while left.max() > 1e-3:
            row, column = np.unravel_index(left.argmax(), left.shape)
            expected[row, column] = 1
            left[row], left[:, column] = 0, 0
        np.testing.assert_array_equal(match, expected)


def test_greedy_by_joint_serves_the_most_certain_first() -> None:
    scores = limb_like_scores(7, 5, seed=2)[:, :, :6]
    certainty = torch.rand(5, 7, generator=torch.Generator().manual_seed(0))
    matches = match_greedy_joint(scores, certainty, *everything(scores))
    for matrix, order, match in zip(scores.numpy(), certainty.argsort(descending=True), matches.numpy(), strict=True):
        left, expected = matrix.copy(), np.zeros_like(matrix)
        for row in order.tolist():
            column = left[row].argmax()
            if left[row, column] > 1e-3:
                expected[row, column] = 1
                left[:, column] = 0
        np.testing.assert_array_equal(match, expected)


def test_ties_give_a_matching_and_not_a_fraction() -> None:
    scores = torch.full((1, 2, 2), 0.6)
    assignment = match_dykstra(scores, *everything(scores), *STEPS)
    torch.testing.assert_close(assignment, torch.full((1, 2, 2), 0.5), atol=1e-4, rtol=0)
    torch.testing.assert_close(round_assignment(assignment, scores, 0.1), torch.eye(2)[None])


def test_weak_limbs_are_dropped_after_the_matching() -> None:
    scores = torch.tensor([[[0.9, 0.0], [0.0, 0.08]]])
    assignment = match_dykstra(scores, *everything(scores), *STEPS)
    assert round_assignment(assignment, scores, 0.05).sum() == 2
    assert round_assignment(assignment, scores, 0.1).sum() == 1


def test_the_mean_of_the_iterates_has_a_gradient_where_the_corner_has_none() -> None:
    scores = torch.tensor([[[0.3, 0.6], [0.6, 0.3]]], requires_grad=True)
    (corner,) = torch.autograd.grad(match_dykstra(scores, *everything(scores), 2.0, 40, 1)[0, 0, 0], scores)
    (mean,) = torch.autograd.grad(match_dykstra(scores, *everything(scores), 0.1, 10, 5, True)[0, 0, 0], scores)
    assert corner.abs().max() < 1e-6
    assert mean[0, 0, 0] > 0.1
    assert mean[0, 0, 1] <= 0
