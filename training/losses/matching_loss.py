"""Matching loss: the grouping error that the paper propagates through the matcher (section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from model.decoder.decode import Decoder
from model.decoder.matching import match_dykstra
from model.decoder.peaks import Candidates
from model.frames import canvas_to_cell
from model.maps import HeadMaps

STEP, OUTER = 0.3, 12  # short of convergence: a corner of the polytope has no gradient
MARGIN = 1e-3  # keeps the cross-entropy finite at assignments of exactly 0 and 1


def matching_loss(maps: HeadMaps, joints: Tensor, decoder: Decoder) -> Tensor:
    """Return the cross-entropy between the soft assignment Y of every limb and the labels' assignment.

    A labelled joint owns the candidate of its class nearest to it, if that lies within half the voting radius. Only
    pairs of owned candidates count: an unowned one may belong to an unlabelled person.

    Args:
        maps: head maps [B, ..., h, w].
        joints: [B, M, K, 3], x, y in canvas pixels and v of M labelled people (v = 0: no such joint).
        decoder: of the taxonomy and configuration that the parser will have.

    Returns the mean over each image's pairs [B], 0 if there is none; differentiable in heatmaps, offsets and limb
    maps. The mean is per image, because the number of pairs depends on the network: the losses of a step's parts could
    not add up otherwise.

    Differs from the paper, which does not say how Y's labels are made.
    """
    maps = HeadMaps(*(m.float() for m in maps))
    candidates = decoder.detect(maps)
    scores = decoder.score(maps, candidates)  # [B, L, N, N]
    valid_rows, valid_cols = candidates.valid[:, decoder.limbs[0]], candidates.valid[:, decoder.limbs[1]]
    soft = match_dykstra(scores, valid_rows, valid_cols, STEP, OUTER, 1, average=True)

    owner = owners(candidates, joints, decoder.config.radius / 2)  # [B, K, N]
    rows, cols = owner[:, decoder.limbs[0], :, None], owner[:, decoder.limbs[1], None, :]
    known = ((rows >= 0) & (cols >= 0)).float()
    target = (rows == cols).float()
    loss = F.binary_cross_entropy(soft.clamp(MARGIN, 1 - MARGIN), target, reduction="none")
    return (loss * known).sum((1, 2, 3)) / known.sum((1, 2, 3)).clamp(min=1.0)


def owners(candidates: Candidates, joints: Tensor, reach: float) -> Tensor:
    """Return [B, K, N] int64: the person (row of `joints`) whose joint a candidate is, -1 if there is none.

    `reach` is the largest distance of a candidate from its joint, in canvas pixels. A candidate claimed by two people
    belongs to the nearer one.
    """
    radius = canvas_to_cell(torch.tensor(reach)) - canvas_to_cell(torch.tensor(0.0))
    labelled = joints[..., 2].permute(0, 2, 1) > 0  # [B, K, M]
    xy = canvas_to_cell(joints[..., :2]).permute(0, 2, 1, 3)  # [B, K, M, 2]
    distance = torch.cdist(candidates.xy_cell.detach(), xy)  # [B, K, N, M]
    possible = candidates.valid[..., None] & labelled[:, :, None] & (distance <= radius)
    distance = torch.where(possible, distance, torch.inf)
    nearest = distance <= distance.amin(2, keepdim=True)  # of each person's joint, the candidate it claims
    claimed = torch.where(nearest & possible, distance, torch.inf)
    best, person = claimed.min(-1)
    return torch.where(best.isfinite(), person, -1)
