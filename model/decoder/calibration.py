"""Person scores that mean something: 0.5 is a person who is right about half the time.

Not in the paper, whose person score is the mean of the joints' scores.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.decoder.association import person_scale
from model.decoder.grouping import Poses

_LEAST = 1e-6


def part_certainty(part_logits: Tensor, cell_person: Tensor, owned: Tensor, people: int) -> Tensor:
    """Mean probability of the likeliest part in the cells of each person, [B, P] in [0, 1]; 0 without cells.

    Joints that lie on no body, or on a body in which no part is told from another, are seldom somebody's.

    Args:
        part_logits: [B, C+1, h, w].
        cell_person, owned: [B, h, w], a cell's slot, and whether it belongs to that person; background does not count.
        people: P.
    """
    probability = part_logits.softmax(1)
    body = owned & (probability[:, 0] < 0.5)
    value = torch.stack((probability[:, 1:].amax(1), torch.ones_like(probability[:, 0])), -1) * body[..., None]
    slot = torch.arange(people, device=cell_person.device)[:, None]
    of_person = (cell_person.flatten(1)[:, None] == slot).to(value.dtype)  # [B, P, hw]
    total, cells = (of_person @ value.flatten(1, 2)).unbind(-1)
    return total / cells.clamp(min=1.0)


def calibrate(
    poses: Poses, weights: tuple[float, float, float], certainty: Tensor, part_weight: float
) -> tuple[Poses, Tensor]:
    """Calibrated scores, and people sorted by them: sigmoid(w_0 + w_1 ln score + w_2 ln area + w_3 certainty).

    The area is that of the box around the person's joints, in cells. Empty slots stay 0 and last; of equal scores the
    earlier slot comes first. `training.evaluation.calibration` fits the weights.

    Args:
        poses: of P slots.
        weights: w_0, w_1, w_2.
        certainty: [B, P], from `part_certainty`.
        part_weight: w_3.

    Returns:
        The sorted poses, and the new slot of each old one, [B, P] int64.
    """
    constant, of_score, of_area = weights
    area = person_scale(poses).square()  # [B, P], at least some cells
    logit = constant + of_score * poses.score.clamp(min=_LEAST).log() + of_area * area.log() + part_weight * certainty
    score = torch.where(poses.score > 0, torch.sigmoid(logit).clamp(min=_LEAST), 0.0)

    # A person's new slot is the number of people before it. Counting them leaves no tie to a runtime's sort.
    slot = torch.arange(score.shape[1], device=score.device)
    mine, other = score[:, :, None], score[:, None]
    new_slot = ((other > mine) | ((other == mine) & (slot < slot[:, None]))).sum(2)  # [B, P]
    moves = (new_slot[:, None] == slot[:, None]).to(score.dtype)  # [B, new, old], a permutation
    moved = Poses(
        xy_cell=(moves @ poses.xy_cell.flatten(2)).reshape(poses.xy_cell.shape),
        joint_score=moves @ poses.joint_score,
        found=(moves @ poses.found.to(score.dtype)) > 0.5,
        score=_moved(moves, score),
        overflow=poses.overflow,
        label=_moved(moves, poses.label),
    )
    return moved, new_slot


def _moved(moves: Tensor, value: Tensor) -> Tensor:
    """[B, P] in the new order."""
    return (moves @ value[..., None])[..., 0]
