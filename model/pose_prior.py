"""Poses that a pretrained backbone already predicts, as a start for the paper's maps, which then learn residuals."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 3  # cells around a cell whose heat it takes over: 7 x 7 is about a disk of R = 4 cells
SHARPNESS = 3  # power of the heat with which neighbors are averaged
_NO_HEAT = 1e-12  # sum of the weights below which there is no joint to point to


class PosePrior(NamedTuple):
    """Pose maps in CenterNet's form, at stride 4. Shapes: B images, h x w cells, K joints; vectors (x, y) in cells."""

    center_logits: Tensor  # [B, 1, h, w], is a person's center in this cell?
    heatmap_logits: Tensor  # [B, K, h, w], is joint k in this cell?
    regression: Tensor  # [B, K, 2, h, w], from the cell of a person's center to joint k of the person
    subcell: Tensor  # [B, K, 2, h, w], from the cell of joint k to the joint


def disk_heatmaps(prior: PosePrior) -> Tensor:
    """Logits [B, K, h, w] of M (Eq. 8), is a joint near this cell: the largest of the cells around."""
    return F.max_pool2d(prior.heatmap_logits, 2 * REACH + 1, stride=1, padding=REACH)


def offsets_to_joints(prior: PosePrior) -> Tensor:
    """O (Eq. 8), [B, K, 2, h, w] in cells: from each cell to the mean of the joints around, weighted by their heat.

    Sums over windows are convolutions with fixed filters, in which vectors stay small: bfloat16 holds them. Zero
    where nothing is warm.
    """
    heat = torch.sigmoid(prior.heatmap_logits) ** SHARPNESS  # [B, K, h, w]
    twice = heat[:, :, None].expand_as(prior.subcell)  # once for x, once for y
    weighted = twice * prior.subcell  # [B, K, 2, h, w]
    size = 2 * REACH + 1
    column = torch.arange(-REACH, REACH + 1, dtype=heat.dtype, device=heat.device).expand(size, size)
    total = _sum_windows(twice, torch.ones_like(column)[None])
    vectors = _sum_windows(twice, torch.stack((column, column.T))) + _sum_windows(
        weighted, torch.ones_like(column)[None]
    )
    return torch.where(total > _NO_HEAT, vectors / total.clamp(min=_NO_HEAT), 0.0)


def _sum_windows(value: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums over the windows around each cell of [B, K, 2, h, w]; weights [1 or 2, 7, 7], of x and y."""
    joints = value.shape[1]
    filters = weights.expand(2, -1, -1)[:, None].repeat(joints, 1, 1, 1)  # [2K, 1, 7, 7]
    sums = F.conv2d(value.flatten(1, 2), filters, padding=REACH, groups=2 * joints)
    return sums.reshape(-1, joints, 2, *sums.shape[2:])
