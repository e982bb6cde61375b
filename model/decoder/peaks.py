"""Joint candidates: local maxima of the Hough scores, a fixed number per class."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Candidates(NamedTuple):
    """N joint candidates of each of K classes, in reading order of their cells, the invalid ones last."""

    xy_cell: Tensor  # [B, K, N, 2], (x, y) in cells, sub-cell
    score: Tensor  # [B, K, N], in [0, 1]; 0 where invalid
    valid: Tensor  # [B, K, N], bool
    overflow: Tensor  # [B], int32, joints of one class beyond N, at most


def find_peaks(hough: Tensor, count: int, window: int, threshold: float) -> Candidates:
    """The `count` best local maxima of each class whose votes within `window` x `window` cells exceed `threshold`.

    Votes for one joint share several cells, so a single cell says little: maxima are sought in the scores smoothed
    over 3x3 cells (binomial weights), where one joint gives one maximum, and scored by the plain sum over the window.
    Of votes that miss by 1 cell (one sigma in x and y) 3x3 cells hold 0.7 and 5x5 cells 0.97: hence the default of 5.
    The position is the centre of mass of the 3x3 cells around the maximum. Score and position are differentiable in
    `hough`. A convex plateau gives one peak.

    Two joints of a class 3 cells apart give two peaks, displaced by up to 0.2 cells. Each disk of votes then lost about
    0.4 of its cells to the other, so that at a threshold of 0.7 they cannot both pass unless the window reaches the
    neighbour's votes.

    Args:
        hough: [B, K, h, w], from `hough_scores`.
        count: N.
        window: odd number of cells.
        threshold: a candidate is valid if its score is greater.
    """
    # Two means over 2x2 cells are the weights [1, 2, 1] / 4 in x and y, centred.
    smooth = F.avg_pool2d(F.avg_pool2d(hough, 2, 1, padding=1), 2, 1)
    votes = F.avg_pool2d(hough, window, 1, padding=window // 2) * window**2
    votes = torch.where(is_local_maximum(smooth, 3), votes, 0.0)
    overflow = ((votes > threshold).to(votes.dtype).sum((2, 3)).amax(1) - count).clamp(min=0).to(torch.int32)
    votes, cell = best_cells(votes, count, threshold)  # [B, K, N]
    valid = votes > threshold
    return Candidates(_centre_of_mass(hough, cell), torch.where(valid, votes.clamp(max=1.0), 0.0), valid, overflow)


def is_local_maximum(value: Tensor, window: int) -> Tensor:
    """Whether a cell of [B, K, h, w] is the largest of the `window` x `window` cells around, bool of the same shape.

    Among equal neighbours the first in reading order wins.
    """
    height, width = value.shape[-2:]
    is_maximum = value >= F.max_pool2d(value, window, 1, padding=window // 2)
    # `order` falls from cell to cell.
    order = torch.arange(height * width, device=value.device).flip(0).add(1).reshape(height, width).float()
    order = torch.where(is_maximum, order, 0.0)  # [B, K, h, w]
    return is_maximum & (order >= F.max_pool2d(order, window, 1, padding=window // 2))


def best_cells(value: Tensor, count: int, threshold: float) -> tuple[Tensor, Tensor]:
    """The `count` largest values of each map [B, K, h, w] and their flat cells, both [B, K, count].

    Those over `threshold` come first, in reading order: it does not depend on how a runtime breaks ties.
    """
    height, width = value.shape[-2:]
    value, cell = value.flatten(2).topk(count)
    key = torch.where(value > threshold, cell, height * width + torch.arange(count, device=value.device))
    order = key.float().topk(count, largest=False).indices
    return value.gather(2, order), cell.gather(2, order)


def _centre_of_mass(hough: Tensor, cell: Tensor) -> Tensor:
    """(x, y) [B, K, N, 2] of the scores in the 3x3 cells around each flat index `cell` [B, K, N]."""
    width = hough.shape[-1]
    row = cell // width
    column = cell - row * width
    step = torch.arange(3, device=hough.device)
    neighbour = (step[:, None] * (width + 2) + step).reshape(-1)  # [9], in the map padded by one cell
    index = (row * (width + 2) + column)[..., None] + neighbour  # [B, K, N, 9]
    around = F.pad(hough, (1, 1, 1, 1)).flatten(2).gather(2, index.flatten(2))
    around = around.reshape(*cell.shape, 3, 3)
    mass = around.sum((-2, -1)).clamp(min=1e-6)
    dx = (around[..., 2] - around[..., 0]).sum(-1) / mass
    dy = (around[..., 2, :] - around[..., 0, :]).sum(-1) / mass
    return torch.stack((column + dx, row + dy), -1)
