"""People's centers: whose joints a candidate would be, and where a person's unseen joints lie.

Not in the paper. Limbs alone lose people whose limbs are hidden or cross; a center sees the whole person (CenterNet,
Zhou et al., 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from model.decoder.limbs import pair_mask
from model.decoder.peaks import Candidates, best_cells, is_local_maximum

TOLERANCE = 0.15  # standard deviation of a regressed joint, in units of the person's scale
_WINDOW = 5  # cells a side in which a person has one center
_SMALLEST = 1.0  # scale in cells: below it, no joints can be told apart
_LEAST = 1e-6
_NOBODY = 0.02  # response of "no center": a candidate far from all belongs to none
_KNOWN = 0.3  # sum of r^2 over the centers from which a candidate is somebody's
_APART = 0.05  # agreement below which two such candidates belong to different people
_OUTSIDE = 1e3  # distance of a candidate to the joints of an invalid center, in standard deviations


class Centers(NamedTuple):
    """M candidates for a person's center, in reading order of their cells, the invalid ones last."""

    xy_cell: Tensor  # [B, M, K, 2], (x, y) in cells, where the person's joints should be
    scale: Tensor  # [B, M], square root of the area of the box around these, in cells
    score: Tensor  # [B, M], probability of the center; 0 where invalid
    valid: Tensor  # [B, M], bool


class CenterEvidence(NamedTuple):
    """Centers, and what they say of the joint candidates."""

    centers: Centers
    responses: Tensor  # [B, K, N, M], from `center_responses`


def find_centers(center_logits: Tensor, regression: Tensor, count: int, threshold: float) -> Centers:
    """The `count` best local maxima of the center map whose probability exceeds `threshold`, and their joints.

    Args:
        center_logits: [B, 1, h, w].
        regression: [B, K, 2, h, w], from a center to its joints, in cells.
        count: M.
        threshold: lowest probability of a center.
    """
    width = center_logits.shape[-1]
    probability = torch.sigmoid(center_logits)
    peaks = torch.where(is_local_maximum(probability, _WINDOW), probability, 0.0)
    score, cell = (found[:, 0] for found in best_cells(peaks, count, threshold))  # [B, M]
    valid = score > threshold

    joints = regression.shape[1]
    ways = regression.flatten(3).flatten(1, 2)  # [B, 2K, hw]
    way = ways.gather(2, cell[:, None].expand(-1, 2 * joints, -1))  # [B, 2K, M]
    way = way.reshape(-1, joints, 2, count).permute(0, 3, 1, 2)  # [B, M, K, 2]
    row = cell // width
    center = torch.stack((cell - row * width, row), -1).to(way.dtype)  # [B, M, 2]
    xy_cell = center[:, :, None] + way
    side = xy_cell.amax(2) - xy_cell.amin(2)  # [B, M, 2]
    scale = torch.maximum(side.clamp(min=_LEAST).prod(-1).sqrt(), side.amax(-1) / 2).clamp(min=_SMALLEST)
    return Centers(xy_cell, scale, torch.where(valid, score, 0.0), valid)


def center_responses(candidates: Candidates, centers: Centers) -> Tensor:
    """r [B, K, N, M] in [0, 1], how well candidate n of class k fits center m, in competition with other centers.

    r^2 = exp(-d^2 / (2 (TOLERANCE * scale)^2)), d from the candidate to the joint that the center regresses, divided by
    its sum over the centers. Hence r_an * r_bn' is the geometric mean of what two joints say of one center.
    """
    xy = centers.xy_cell.transpose(1, 2)[:, :, None]  # [B, K, 1, M, 2]
    square = (candidates.xy_cell[:, :, :, None] - xy).square().sum(-1)  # [B, K, N, M]
    deviations = square / (TOLERANCE * centers.scale).square()[:, None, None]
    deviations = torch.where(centers.valid[:, None, None], deviations, _OUTSIDE)
    total = (-0.5 * deviations).exp().sum(-1, keepdim=True)
    response = (-0.25 * deviations).exp() / (total + _NOBODY).sqrt()
    return torch.where(candidates.valid[..., None], response, 0.0)


def center_agreement(responses: Tensor, limbs: Tensor) -> Tensor:
    """[B, L, N, N] in [0, 1], the most that any center says of a pair of joints; differentiable.

    responses: [B, K, N, M], from `center_responses`; limbs: [2, L] int64, joint classes of each limb's ends.
    """
    first, second = responses.index_select(1, limbs[0]), responses.index_select(1, limbs[1])  # [B, L, N, M]
    return (first[:, :, :, None] * second[:, :, None]).amax(-1)


def centers_disagree(responses: Tensor, agreement: Tensor, limbs: Tensor) -> Tensor:
    """Whether centers know both joints of a pair, but as different people's, bool [B, L, N, N].

    In a row of people, limbs of the neighbours can bridge any distance, such as from shoulder to shoulder.

    Args:
        responses: [B, K, N, M], from `center_responses`.
        agreement: [B, L, N, N], from `center_agreement`.
        limbs: [2, L] int64.
    """
    known = responses.square().sum(-1) > _KNOWN  # [B, K, N]
    return pair_mask(known, limbs) & (agreement < _APART)
