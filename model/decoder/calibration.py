"""Person scores that mean something: 0.5 is a person who is right about half the time.

Not in the paper, whose person score is the mean of the joints' scores.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.decoder.association import person_scale
from model.decoder.grouping import Poses

_LEAST = 1e-6


def calibrate(poses: Poses, weights: tuple[float, float, float]) -> Poses:
    """`poses` with calibrated scores, sorted by them: sigmoid(w_0 + w_1 ln score + w_2 ln area).

    The area is that of the box around the person's joints, in cells. Empty slots stay 0 and last; of equal scores the
    earlier slot comes first. `training.evaluation.calibration` fits the weights.
    """
    constant, of_score, of_area = weights
    area = person_scale(poses).square()  # [B, P], at least some cells
    logit = constant + of_score * poses.score.clamp(min=_LEAST).log() + of_area * area.log()
    score = torch.where(poses.score > 0, torch.sigmoid(logit).clamp(min=_LEAST), 0.0)

    # A person's new slot is the number of people before it. Counting them leaves no tie to a runtime's sort.
    slot = torch.arange(score.shape[1], device=score.device)
    mine, other = score[:, :, None], score[:, None]
    before = (other > mine) | ((other == mine) & (slot < slot[:, None]))  # [B, P, P]
    moves = (before.sum(2)[:, None] == slot[:, None]).to(score.dtype)  # [B, new, old], a permutation
    return Poses(
        xy_cell=(moves @ poses.xy_cell.flatten(2)).reshape(poses.xy_cell.shape),
        joint_score=moves @ poses.joint_score,
        found=(moves @ poses.found.to(score.dtype)) > 0.5,
        score=_moved(moves, score),
        overflow=poses.overflow,
        label=_moved(moves, poses.label),
    )


def _moved(moves: Tensor, value: Tensor) -> Tensor:
    """[B, P] in the new order."""
    return (moves @ value[..., None])[..., 0]
