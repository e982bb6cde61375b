"""Assignment of cells to people (Eq. 17)."""

from __future__ import annotations

import torch
from torch import Tensor

from model.config import STRIDE
from model.decoder.grouping import Poses
from model.frames import cell_grid

_SMALLEST_CELL = 8.0 / STRIDE  # lowest sigma_h: 8 canvas pixels, about what the peaks of two joints can be apart
_FAR = 1e6  # scaled distance to a joint that was not found
_FEW = 0.25  # share of the joints found; a person of fewer reaches no further


def person_scale(poses: Poses) -> Tensor:
    """sigma_h of Eq. 17, in cells: [B, P], the square root of the area of the box around the person's joints.

    Differs from the paper: a box thinner than 1:4 counts as 1:4, and no box is smaller than 8 x 8 canvas pixels;
    a person of one joint, or of joints in a line, would divide by zero.
    """
    return box_scale(poses.xy_cell, poses.found)


def box_scale(xy_cell: Tensor, found: Tensor) -> Tensor:
    """`person_scale` of joints [B, P, K, 2] in cells, of which those `found` [B, P, K] exist."""
    low = torch.where(found[..., None], xy_cell, torch.inf).amin(2)  # [B, P, 2]
    high = torch.where(found[..., None], xy_cell, -torch.inf).amax(2)
    side = (high - low).clamp(min=0.0)  # an empty slot has none
    return torch.maximum(side.prod(-1).sqrt(), side.amax(-1) / 2).clamp(min=_SMALLEST_CELL)


def part_distances(part_logits: Tensor, poses: Poses, joints_of_part: Tensor) -> Tensor:
    """How far each cell is from where its part lies in each person, in cells: [B, P, h * w].

    A cell's part is its likeliest one, background aside; in a person it lies at the mean of its joints that were found.
    0 where a person has none of them.

    Args:
        part_logits: [B, C+1, h, w].
        poses: of P slots.
        joints_of_part: [C, K], 1 where a joint lies on a part, else 0.
    """
    x, y = (axis.expand(part_logits.shape[-2:]).flatten() for axis in cell_grid(part_logits))  # [hw]
    found = poses.found.to(part_logits.dtype)
    count = found @ joints_of_part.T  # [B, P, C]
    parts = torch.arange(joints_of_part.shape[0], device=part_logits.device)
    part = part_logits[:, 1:].argmax(1).flatten(1)[:, None]  # [B, 1, hw]
    chosen = (part == parts[:, None]).to(part_logits.dtype)  # [B, C, hw], one-hot: a product with it gathers
    x_part, y_part = (
        ((found * poses.xy_cell[..., axis]) @ joints_of_part.T / count.clamp(min=1.0)) @ chosen for axis in (0, 1)
    )  # [B, P, hw]
    distance = ((x - x_part).square() + (y - y_part).square()).sqrt()
    return torch.where(count.clamp(max=1.0) @ chosen > 0, distance, 0.0)


def assign_cells(
    projection_field: Tensor, poses: Poses, power: float = 1.0, part_distance: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The person slot whose joints are nearest to where each cell points (Eq. 17).

    psi_h(u) = min over n of |u + D(u) - p_nh| / ((s_nh + s_h) * sigma_h^power), s_h the mean score of the joints found.

    Differs from the paper, whose power is 1: with less, a large person takes fewer cells of a small one beside them.
    And with `part_distance` the smallest psi_h + part_distance_h / (2 sigma_h^power) counts: where people touch, the
    field in the middle of a torso may well end at the neighbour's elbow.

    Args:
        projection_field: D [B, 2, h, w], (x, y) in cells.
        poses: of P slots.
        power: of the person's size; 0 counts cells alike for everybody.
        part_distance: [B, P, hw], weighted ones of `part_distances`; by default none, as in the paper.

    Returns:
        [B, h, w] int64, the slot with the smallest sum for every cell, background too; the first of equals. Without
        people it is 0 everywhere. And [B, h, w], its psi, in cells^(1 - power): how far a cell is from the person;
        without people it is large everywhere.
    """
    x, y = cell_grid(projection_field)
    x_target = (x + projection_field[:, 0]).flatten(1)[:, None]  # [B, 1, hw]
    y_target = (y + projection_field[:, 1]).flatten(1)[:, None]
    joints = poses.found.float().sum(2, keepdim=True).clamp(min=1.0)
    mean_score = poses.joint_score.sum(2, keepdim=True) / joints  # s_h
    size = person_scale(poses).pow(power)[..., None]
    weight = 1 / ((poses.joint_score + mean_score).clamp(min=1e-6) * size)
    weight = torch.where(poses.found, weight, 0.0)  # [B, P, K]
    anchor = torch.where(poses.found[..., None], poses.xy_cell * weight[..., None], _FAR)  # scaled like the targets
    # One joint class at a time: a runtime fuses the arithmetic, and nothing of size cells x P x K is ever stored.
    nearest = torch.full_like(x_target, torch.inf)
    for k in range(weight.shape[2]):
        scale = weight[:, :, k, None]  # [B, P, 1]
        dx = x_target * scale - anchor[:, :, k, :1]
        dy = y_target * scale - anchor[:, :, k, 1:]
        distance = dx * dx + dy * dy  # psi^2, [B, P, hw]
        nearest = torch.minimum(nearest, distance)
    like = projection_field[:, 0]
    if part_distance is None:
        return nearest.argmin(1).reshape(like.shape), nearest.amin(1).sqrt().reshape(like.shape)
    psi = nearest.sqrt()
    slot = (psi + part_distance / (2 * size)).argmin(1)
    return slot.reshape(like.shape), psi.gather(1, slot[:, None])[:, 0].reshape(like.shape)


def within_reach(
    cell_person: Tensor, psi: Tensor, poses: Poses, limit: float, placed_score: float, power: float = 1.0
) -> Tensor:
    """Whether a cell is near enough to its person to belong to it, bool [B, h, w]: psi <= limit * K / joints found.

    That is the paper's psi, whose unit is the person's size: one of another power is compared with that times
    sigma_h^(1 - power).

    The fewer of a person's K joints were found, the less their box says about the body, and the further true pixels
    lie: on training images psi * found / K of 99 % of them is at most 0.15, for 4 to 17 joints found alike.

    Differs from the paper, where every pixel of a body belongs to somebody, at any distance. Pixels of a body that is
    out of everybody's reach are background: of those that form a body by themselves, too few are a person's
    (docs/limits.md).

    cell_person and psi are [B, h, w], from `assign_cells` with this power; joints with `placed_score` were placed, not
    found.
    """
    found = (poses.joint_score > placed_score).float().mean(2)  # [B, P], of K
    reach = limit / found.clamp(min=_FEW) * person_scale(poses).pow(1 - power)
    return psi <= reach.gather(1, cell_person.flatten(1)).reshape(psi.shape)
