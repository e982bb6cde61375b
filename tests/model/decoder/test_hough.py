from __future__ import annotations

import numpy as np
import pytest
import torch

from model.decoder.hough import disk_cells, hough_scores


def naive_votes(weight: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """[h, w] for weight [h, w] and offsets [2, h, w]: Eq. 8 without its divisor, vote by vote."""
    height, width = weight.shape
    votes = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            x, y = j + offsets[0, i, j], i + offsets[1, i, j]
            for row in range(int(np.floor(y)), int(np.floor(y)) + 2):
                for column in range(int(np.floor(x)), int(np.floor(x)) + 2):
                    if 0 <= row < height and 0 <= column < width:
                        votes[row, column] += weight[i, j] * (1 - abs(x - column)) * (1 - abs(y - row))
    return votes


def naive_disk(height: int, width: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(y[..., None, None] - y, x[..., None, None] - x) <= radius
    return inside.sum((2, 3))


@pytest.mark.parametrize("vote", ["scatter", "tent"])
def test_scores_are_the_votes_over_the_disk(vote: str) -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 9, 13, generator=draw)
    offsets = 6 * torch.randn(2, 3, 2, 9, 13, generator=draw)  # many votes leave the map
    offsets[0, 0, :, 0, 0] = torch.tensor([1e9, -1e9])
    offsets[0, 0, :, 1, 1] = 2.0  # meets a cell exactly
    scores = hough_scores(logits, offsets, 3.5, vote)
    for b in range(2):
        for k in range(3):
            expected = naive_votes(logits[b, k].sigmoid().numpy(), offsets[b, k].double().numpy())
            np.testing.assert_allclose(scores[b, k], expected / naive_disk(9, 13, 3.5), atol=1e-5)


@pytest.mark.parametrize(("size", "radius"), [((20, 30), 8.0), ((5, 7), 8.0), ((16, 16), 2.5)])
def test_disk_cells_counts_the_cells_on_the_map(size: tuple[int, int], radius: float) -> None:
    cells = disk_cells(torch.empty(1, *size), radius)
    np.testing.assert_array_equal(cells, naive_disk(*size, radius))


@pytest.mark.parametrize("joint", [(20.0, 20.0), (0.0, 20.0), (0.0, 0.0), (39.0, 31.0)])
def test_a_perfect_joint_scores_one_even_at_the_border(joint: tuple[float, float]) -> None:
    y, x = np.mgrid[:32, :40].astype(np.float32)
    offsets = np.stack((joint[0] - x, joint[1] - y))
    logits = np.where(np.hypot(*offsets) <= 8, 20.0, -20.0).astype(np.float32)
    scores = hough_scores(torch.from_numpy(logits)[None, None], torch.from_numpy(offsets)[None, None], 8.0)
    assert scores[0, 0, int(joint[1]), int(joint[0])] == pytest.approx(1, abs=1e-4)


def test_gradients_of_scatter_and_tent_agree() -> None:
    draw = torch.Generator().manual_seed(1)
    values = []
    for vote in ("scatter", "tent"):
        draw.manual_seed(1)
        logits = torch.randn(1, 2, 8, 8, generator=draw).requires_grad_()
        offsets = (2 * torch.randn(1, 2, 2, 8, 8, generator=draw)).requires_grad_()
        hough_scores(logits, offsets, 3.0, vote).square().sum().backward()
        values.append((logits.grad, offsets.grad))
    for scatter, tent in zip(*values, strict=True):
        torch.testing.assert_close(scatter, tent, atol=1e-5, rtol=1e-4)
        assert scatter.abs().max() > 0
