"""Hough voting (Eq. 8): every cell near a joint says where it believes the joint to be."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from model.frames import cell_grid

Vote = Literal["scatter", "tent"]


def hough_scores(heatmap_logits: Tensor, offsets: Tensor, radius_cell: float, vote: Vote = "scatter") -> Tensor:
    """Sum the votes M(u') * bilinear(u' + O(u') - u) of all cells u', per joint class (Eq. 8).

    Args:
        heatmap_logits: [B, K, h, w]; M is their sigmoid.
        offsets: [B, K, 2, h, w], (x, y) in cells from a cell to the nearest joint of the class.
        radius_cell: R in cells.
        vote: how the votes are summed; the results are equal. "scatter" is fast on a CPU, "tent" is one product of
            matrices for runtimes that cannot scatter with addition.

    Returns:
        [B, K, h, w]. The votes of a perfectly predicted joint sum to about 1; its 4 cells share them.

    Differs from the paper: the divisor is the number of cells of the disk that lie on the canvas, not pi R^2, because
    cells are 4 pixels wide and because joints at the border would otherwise reach half the score of others.
    """
    weight = torch.sigmoid(heatmap_logits)
    x, y = cell_grid(heatmap_logits)
    x_target, y_target = x + offsets[:, :, 0], y + offsets[:, :, 1]  # [B, K, h, w]
    votes = _scatter(weight, x_target, y_target) if vote == "scatter" else _tent(weight, x_target, y_target)
    return votes / disk_cells(heatmap_logits, radius_cell)


def disk_cells(like: Tensor, radius_cell: float) -> Tensor:
    """Count the cells of the disk around each cell that lie on the map [..., h, w]: [h, w], at least 1."""
    height, width = like.shape[-2:]
    reach = math.floor(radius_cell)
    rows = range(-reach, reach + 1)
    dy = torch.tensor([float(row) for row in rows], device=like.device)
    half = torch.tensor([float(math.floor(math.sqrt(radius_cell**2 - row**2))) for row in rows], device=like.device)
    x, y = cell_grid(like)
    row_inside = ((y + dy >= 0) & (y + dy < height)).float()  # [h, 2 reach + 1]
    right = (x + half[:, None]).clamp(max=width - 1)
    cells_in_row = right - (x - half[:, None]).clamp(min=0) + 1  # [2 reach + 1, w]
    return row_inside @ cells_in_row


def _scatter(weight: Tensor, x: Tensor, y: Tensor) -> Tensor:
    # The target map has a margin of 1 cell before and 2 behind. A vote from outside is moved into the margin, where
    # none of its corners touches the map, so that no corner needs a mask of its own.
    batch, joints, height, width = weight.shape
    x, y = x.clamp(-1, width), y.clamp(-1, height)
    left, top = x.floor(), y.floor()
    right_share, bottom_share = x - left, y - top
    stride = width + 3
    corner = ((top + 1) * stride + left + 1).long().reshape(batch * joints, -1)  # exact in float32 up to 2^24 cells
    bottom = weight * bottom_share
    bottom_right = bottom * right_share
    top_right = weight * right_share - bottom_right
    bottom_left = bottom - bottom_right
    top_left = weight - bottom - top_right
    votes = torch.zeros(batch * joints, (height + 3) * stride, device=weight.device)
    for shift, share in ((0, top_left), (1, top_right), (stride, bottom_left), (stride + 1, bottom_right)):
        votes = votes.scatter_add(1, corner + shift, share.reshape(batch * joints, -1))
    return votes.reshape(batch, joints, height + 3, stride)[:, :, 1 : height + 1, 1 : width + 1]


def _tent(weight: Tensor, x: Tensor, y: Tensor) -> Tensor:
    # The bilinear kernel is a product of two tents, hence the sum over all cells a product of two matrices.
    x_cell, y_cell = cell_grid(weight)  # [1, w], [h, 1]
    x_share = (1 - (x.flatten(2)[..., None] - x_cell).abs()).relu()  # [B, K, hw, w]
    y_share = (1 - (y.flatten(2)[:, :, None] - y_cell).abs()).relu()  # [B, K, h, hw]
    return (y_share * weight.flatten(2)[:, :, None]) @ x_share
