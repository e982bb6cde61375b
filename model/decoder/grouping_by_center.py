"""From matched joints and centers to people: what limbs missed is joined, what was not found is filled in.

Differs from the paper, which groups by limbs alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.config import DecoderConfig
from model.decoder.centers import CenterEvidence, Centers
from model.decoder.grouping import Poses, collect_people, fragment_members
from model.decoder.peaks import Candidates

_ALONE = 0.5  # weight of a fragment that no center knows
_SUPPORT = 0.3  # mean response of a person's joints from which a center may add to it
_ROUNDS = 2  # fragments that a center may add to its first one
_LEAST = 1e-6


def group_by_center(
    candidates: Candidates, labels: Tensor, evidence: CenterEvidence, config: DecoderConfig, like: Tensor
) -> Poses:
    """People of labelled candidates, in maps as large as `like` [..., h, w].

    `labels` is [B, K, N], from `label_fragments`.

    Fragments of one center are joined, a person's score counts by what its center says, and joints that were not
    found are placed by it.
    """
    centers, responses = evidence
    shares = _shares(candidates, responses)
    labels = merge_by_center(labels, shares)
    support, _, _ = center_support(fragment_members(labels), shares, joints=labels.shape[1])
    weight = _ALONE + (1 - _ALONE) * (support * centers.score[:, None]).amax(2)  # [B, K * N]
    poses = collect_people(candidates, labels, config.max_people, config.person_threshold, weight)
    if not config.fill_score:
        return poses
    members = labels.flatten(1)[:, None] == poses.label[..., None]  # [B, P, K * N]
    support, _, _ = center_support(members, shares, joints=labels.shape[1])
    return fill_poses(poses, support, centers, config.fill_score, like)


def _shares(candidates: Candidates, responses: Tensor) -> Tensor:
    """[B, K * N, M + 1 + K], what a candidate adds to its group: score * r^2 of each center, score, 1 of its class."""
    score = candidates.score[..., None]  # [B, K, N, 1]
    classes = torch.eye(score.shape[1], device=score.device)[:, None] * candidates.valid[..., None]  # [B, K, N, K]
    return torch.cat((score * responses.square(), score, classes), -1).flatten(1, 2)


def center_support(members: Tensor, shares: Tensor, joints: int) -> tuple[Tensor, Tensor, Tensor]:
    """How well the joints of each group fit each center, and what the groups consist of.

    Args:
        members: [B, G, K * N] bool, which candidates are in each group; the invalid ones among them do not count.
        shares: [B, K * N, M + 1 + K], from `_shares`.
        joints: K.

    Returns:
        [B, G, M] in [0, 1], the mean of r^2, weighted by score; [B, G, 1], the sum of the joints' scores; [B, G, K],
        how many joints of each class.
    """
    sums = members.float() @ shares
    of_center, score, classes = sums[..., : -1 - joints], sums[..., -1 - joints : -joints], sums[..., -joints:]
    return of_center / score.clamp(min=_LEAST), score, classes


def merge_by_center(labels: Tensor, shares: Tensor) -> Tensor:
    """`labels` [B, K, N] with fragments joined that agree on a center and share no joint class.

    Each round joins to the best fragment of every center the next best that fits: what limbs missed, such as legs
    behind a table. `shares` are those of `center_support`.
    """
    joints, count = labels.shape[1:]
    label = torch.arange(joints * count, dtype=torch.float32, device=labels.device)
    for _ in range(_ROUNDS):
        support, score, classes = center_support(fragment_members(labels), shares, joints)
        best, center = support.max(2)
        slot = torch.arange(support.shape[2], device=labels.device)
        fits = (slot == center[..., None]) & (best > _SUPPORT)[..., None]
        value = score * fits.float()  # [B, F, M]
        first = _one_hot_max(value)  # [B, F, M], the strongest fragment of each center
        of_first = first.transpose(1, 2) @ classes  # [B, M, K]
        free = (classes @ of_first.transpose(1, 2)) == 0  # [B, F, M], no joint class in common
        second = _one_hot_max(torch.where(free, value, 0.0) * (1 - first))  # [B, F, M]
        target = (first * label[:, None]).sum(1, keepdim=True)  # [B, 1, M], label of the first
        joined = second.sum(2)  # [B, F], 1 where a fragment joins another
        renamed = label * (1 - joined) + (second * target).sum(2)  # [B, F]
        labels = renamed.gather(1, labels.flatten(1).long()).reshape(labels.shape)
    return labels


def fill_poses(poses: Poses, support: Tensor, centers: Centers, score: float, like: Tensor) -> Poses:
    """`poses` with the joints that were not found where the person's center places them, with a fixed low score.

    A center serves the person that fits it best. Joints outside the map, as large as `like` [..., h, w], stay absent.
    support: [B, P, M], from `center_support`.
    """
    support = torch.where(support > _SUPPORT, support, 0.0)
    own = _one_hot_max(support) * _one_hot_max(support.transpose(1, 2)).transpose(1, 2)  # [B, P, M]
    placed = torch.einsum("bpm,bmkc->bpkc", own, centers.xy_cell)
    height, width = like.shape[-2:]
    x, y = placed.unbind(-1)
    inside = (x > -0.5) & (y > -0.5) & (x < width - 0.5) & (y < height - 0.5)
    fills = (own.amax(2) > 0)[..., None] & ~poses.found & inside & (poses.score > 0)[..., None]
    return poses._replace(
        xy_cell=torch.where(fills[..., None], placed, poses.xy_cell),
        joint_score=torch.where(fills, score, poses.joint_score),
        found=poses.found | fills,
    )


def _one_hot_max(value: Tensor) -> Tensor:
    """1 at the first largest positive value along axis 1 of [B, G, M], else 0."""
    index = torch.arange(value.shape[1], device=value.device)[:, None]
    return ((value.argmax(1, keepdim=True) == index) & (value > 0)).to(value.dtype)
