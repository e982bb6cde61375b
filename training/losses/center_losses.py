"""Losses of people's centers and of the vectors from them to the joints (CenterNet: Zhou et al., 2019).

Not in the paper, which has no centers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from model.frames import canvas_to_cell, cell_grid
from training.transforms.targets import Batch

SPREAD = 0.035  # standard deviation of a center's target, in units of the box's scale
NARROWEST = 0.7  # least standard deviation, in cells
SMALLEST = 2.0  # least scale in cells that errors are divided by
NEAR = 1  # cells around a center's, in rows and columns, that learn the vectors to the joints
_EASY = 2.0  # exponent that reduces the weight of well-classified cells (focal loss)
_CLOSE = 4.0  # exponent that reduces the weight of background close to a center


def centers_of(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return the labelled people's box centers [B, M, 2] and scales [B, M] in cells, and which rows are people [B, M].

    A person's scale is the square root of the box's area.
    """
    boxes = canvas_to_cell(batch.boxes)  # [B, M, 4]
    low, high = boxes[..., :2], boxes[..., 2:]
    exists = torch.arange(boxes.shape[1], device=boxes.device) < batch.person_count[:, None]
    return (low + high) / 2, (high - low).clamp(min=0).prod(-1).sqrt(), exists


def center_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Return the sum of the penalty-reduced focal loss of center logits [B, 1, h, w].

    Cells without any known joint label count only at a center.
    """
    center, scale, exists = centers_of(batch)
    x, y = cell_grid(logits)
    spread = (SPREAD * scale).clamp(min=NARROWEST)[..., None, None]  # [B, M, 1, 1]
    # A center's own cell is exactly 1: distances are measured from it.
    cell = center.round()
    square = (x - cell[..., 0, None, None]).square() + (y - cell[..., 1, None, None]).square()  # [B, M, h, w]
    gaussian = torch.where(exists[..., None, None], (-0.5 * square / spread.square()).exp(), 0.0)
    target = gaussian.amax(1)  # [B, h, w]
    known = (batch.heatmap_weight.amax(1) > 0) | (target > 0.5)
    logits = logits[:, 0].float()
    probability = torch.sigmoid(logits)
    hit = -F.logsigmoid(logits) * (1 - probability) ** _EASY
    miss = -F.logsigmoid(-logits) * probability**_EASY * (1 - target) ** _CLOSE
    return (torch.where(target > 0.999, hit, miss) * known).sum()


def regression_loss(regression: Tensor, batch: Batch) -> Tensor:
    """Return the sum over people of the mean l1 error of the vectors to their labelled joints, relative to their scale.

    regression: [B, K, 2, h, w], in cells; read in the cells around each center.
    """
    center, scale, exists = centers_of(batch)
    height, width = regression.shape[-2:]
    step = torch.arange(-NEAR, NEAR + 1, device=regression.device)
    near = torch.cartesian_prod(step, step)  # [9, 2]
    cell = center.round().long()[:, :, None] + near  # [B, M, 9, 2]
    inside = ((cell >= 0) & (cell < torch.tensor([width, height], device=cell.device))).all(-1) & exists[..., None]
    column, row = cell[..., 0].clamp(0, width - 1), cell[..., 1].clamp(0, height - 1)
    ways = regression.float().flatten(3).flatten(1, 2)  # [B, 2K, hw]
    index = (row * width + column).flatten(1)  # [B, M * 9]
    way = ways.gather(2, index[:, None].expand(-1, ways.shape[1], -1))  # [B, 2K, M * 9]
    way = way.reshape(len(way), -1, 2, *row.shape[1:]).permute(0, 3, 4, 1, 2)  # [B, M, 9, K, 2]
    joints = canvas_to_cell(batch.joints[..., :2])[:, :, None]  # [B, M, 1, K, 2]
    found = torch.stack((column, row), -1).to(way)[..., None, :] + way
    error = (found - joints).abs().sum(-1) / scale.clamp(min=SMALLEST)[..., None, None]  # [B, M, 9, K]
    weight = ((batch.joints[..., 2] > 0)[:, :, None] & inside[..., None]).float()
    return ((error * weight).sum((2, 3)) / weight.sum((2, 3)).clamp(min=1.0)).sum()
