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
    joints = prior.heatmap_logits.shape[1]
    heat = torch.sigmoid(prior.heatmap_logits) ** SHARPNESS  # [B, K, h, w]
    weighted = (heat[:, :, None] * prior.subcell).flatten(1, 2)  # [B, 2K, h, w]
    size = 2 * REACH + 1
    ramp = torch.arange(-REACH, REACH + 1, dtype=heat.dtype, device=heat.device)
    to_column = ramp.expand(size, size)
    steps = torch.stack((to_column, to_column.T))[:, None].repeat(joints, 1, 1, 1)  # [2K, 1, 7, 7]
    total = F.avg_pool2d(heat, size, 1, REACH) * size**2  # padding counts as cold
    to_cells = F.conv2d(heat, steps, padding=REACH, groups=joints)
    to_joints = F.avg_pool2d(weighted, size, 1, REACH) * size**2
    vectors = (to_cells + to_joints).reshape(-1, joints, 2, *heat.shape[-2:])  # [B, K, 2, h, w]
    total = total[:, :, None]
    return torch.where(total > _NO_HEAT, vectors / total.clamp(min=_NO_HEAT), 0.0)
