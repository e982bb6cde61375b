from __future__ import annotations

import numpy as np
import pytest
import torch

from model.decoder.hough import hough_scores
from model.decoder.peaks import Candidates, find_peaks

WINDOW = 5


def votes_of(points: list[tuple[float, float]], size: tuple[int, int] = (32, 40), noise: float = 0.0) -> torch.Tensor:
    """Hough scores [1, 1, h, w] of joints of one class, every cell voting for the nearest."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    to = np.array([(px - x, py - y) for px, py in points])  # [n, 2, h, w]
    nearest = np.hypot(to[:, 0], to[:, 1]).argmin(0)
    offsets = np.take_along_axis(to, nearest[None, None], 0)[0].astype(np.float32)
    logits = np.where(np.hypot(*offsets) <= 8, 20.0, -20.0).astype(np.float32)
    offsets += noise * np.random.default_rng(0).standard_normal(offsets.shape).astype(np.float32)
    return hough_scores(torch.from_numpy(logits)[None, None], torch.from_numpy(offsets)[None, None], 8.0)


def positions(candidates: Candidates) -> np.ndarray:
    return candidates.xy_cell[0, 0][candidates.valid[0, 0]].numpy()


@pytest.mark.parametrize("point", [(20.0, 15.0), (20.5, 15.5), (20.25, 15.75), (20.1, 15.0), (2.5, 1.0), (0.0, 31.0)])
def test_a_joint_is_one_peak_at_its_sub_cell_position(point: tuple[float, float]) -> None:
    candidates = find_peaks(votes_of([point]), 6, WINDOW, 0.7)
    np.testing.assert_allclose(positions(candidates), [point], atol=0.05)
    assert candidates.score[0, 0, 0] > 0.95
    assert not candidates.score[0, 0, 1:].any()


@pytest.mark.parametrize("first", [(12.0, 15.0), (12.5, 15.5), (12.3, 15.8)])
@pytest.mark.parametrize("step", [(3.0, 0.0), (0.0, 3.0), (2.13, 2.13)])
def test_joints_12_pixels_apart_are_two_peaks_that_score_less(
    first: tuple[float, float], step: tuple[float, float]
) -> None:
    points = [first, (first[0] + step[0], first[1] + step[1])]
    found = find_peaks(votes_of(points), 6, WINDOW, 0.4)
    order = np.lexsort(positions(found).round(1).T)
    np.testing.assert_allclose(positions(found)[order], np.array(points)[np.lexsort(np.array(points).T)], atol=0.2)
    # Each disk lost 0.4 of its votes to the other joint: in a window of 3 cells they cannot both reach 0.7.
    own = find_peaks(votes_of(points), 6, 3, 0.4)
    assert own.valid.sum() == 2
    assert find_peaks(votes_of(points), 6, 3, 0.7).valid.sum() <= 1


def test_a_wide_window_keeps_joints_whose_votes_scatter() -> None:
    hough = votes_of([(20.3, 15.6)], noise=1.2)
    wide, narrow = (find_peaks(hough, 6, window, 0.7) for window in (5, 3))
    np.testing.assert_allclose(positions(wide)[0], (20.3, 15.6), atol=0.5)
    assert len(positions(wide)) == 1
    assert not narrow.valid.any()


def test_a_plateau_is_one_peak() -> None:
    hough = torch.zeros(1, 1, 16, 16)
    hough[..., 4:10, 4:10] = 0.5
    assert find_peaks(hough, 10, WINDOW, 0.1).valid.sum() == 1
    assert find_peaks(torch.full((1, 1, 16, 16), 0.5), 10, WINDOW, 0.1).valid.sum() <= 4  # the padding bends it


def test_nothing_is_found_in_nothing() -> None:
    candidates = find_peaks(torch.zeros(2, 3, 8, 8), 5, WINDOW, 0.7)
    assert not candidates.valid.any()
    assert not candidates.score.any()
    assert torch.isfinite(candidates.xy_cell).all()


def test_the_best_are_kept_in_reading_order() -> None:
    hough = torch.zeros(1, 1, 40, 40)
    cells = [(5, 30), (5, 10), (20, 20), (35, 5), (35, 35)]
    for (row, column), value in zip(cells, (0.8, 0.5, 0.9, 0.6, 1.4), strict=True):
        hough[0, 0, row, column] = value
    candidates = find_peaks(hough, 4, WINDOW, 0.3)
    expected = [[30, 5], [20, 20], [5, 35], [35, 35]]
    np.testing.assert_allclose(positions(candidates), expected)
    np.testing.assert_allclose(candidates.score[0, 0], [0.8, 0.9, 0.6, 1.0])


def test_joints_beyond_the_limit_are_counted_by_the_class_with_most() -> None:
    three, five = (votes_of([(8.0 * i + 4, 15.0) for i in range(n)]) for n in (3, 5))
    hough = torch.cat((torch.cat((three, five), 1), torch.cat((three, three), 1)))  # [2, 2, h, w]
    assert [find_peaks(hough, n, WINDOW, 0.5).overflow.tolist() for n in (3, 4, 5)] == [[2, 0], [1, 0], [0, 0]]


def test_score_and_position_follow_the_map() -> None:
    hough = votes_of([(20.3, 15.6)]).requires_grad_()
    candidates = find_peaks(hough * 0.9, 2, WINDOW, 0.7)
    (candidates.score.sum() + candidates.xy_cell[0, 0, 0].sum()).backward()
    assert torch.isfinite(hough.grad).all()
    assert (hough.grad[0, 0, 14:18, 19:22] != 0).all()
