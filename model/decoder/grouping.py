"""From matched joints to people, from head to foot (section 3.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from model.decoder.peaks import Candidates


class Poses(NamedTuple):
    """P person slots, by falling score; empty slots last."""

    xy_cell: Tensor  # [B, P, K, 2], (x, y) in cells; 0 where not found
    joint_score: Tensor  # [B, P, K], in [0, 1]; 0 where not found
    found: Tensor  # [B, P, K], bool
    score: Tensor  # [B, P], sum of joint scores / K, weighted; 0 = empty slot
    overflow: Tensor  # [B], int32, people beyond P
    label: Tensor  # [B, P], the fragment in the slot; -1 = empty slot


def label_fragments(matches: Tensor, limbs: tuple[tuple[int, int], ...]) -> Tensor:
    """Give every candidate the label of the fragment of a person it belongs to.

    A candidate k, n starts as a fragment of its own, labelled k * N + n. Limbs are taken in order: first the tree,
    where a child takes over its parent's label, then the bridges, which merge two fragments unless both have a joint
    of one class. So a fragment never has two joints of a class.

    Merges of one limb (a, b) never meet in a fragment, so that all can be done at once. Proof: let fragments f and g
    merge by the pair (n, n'), n of class a in f, n' of class b in g. They share no class, so f has no joint of class b
    and no other of class a: n is the only joint by which f can take part in a match of this limb, and n is in one
    pair at most. The same holds for g.

    Args:
        matches: [B, L, N, N] of 0 and 1, from `round_assignment`, 0 for invalid candidates.
        limbs: (a, b) of each of the L limbs, the first K-1 a tree with parents first, as in `Taxonomy`.

    Returns:
        [B, K, N] float32, integers in 0 .. K*N-1; an invalid candidate keeps its own label, alone.
    """
    batch, _, count, _ = matches.shape
    tree = len({joint for limb in limbs for joint in limb}) - 1
    joints = tree + 1
    parent, child = (list(ends) for ends in zip(*limbs[:tree], strict=True))
    own = torch.arange(joints * count, dtype=torch.float32, device=matches.device).reshape(joints, count)
    match = matches[:, :tree]
    inherited = (match * own[parent][:, :, None]).sum(2) + (1 - match.sum(2)) * own[child]  # [B, K-1, N], of the child
    root = own[parent[:1]].expand(batch, 1, count)
    order = torch.tensor([[parent[0], *child].index(k) for k in range(joints)], device=matches.device)
    by_class = torch.cat((root, inherited), 1).index_select(1, order)
    labels = by_class.flatten(1)  # [B, K * N], of each its parent's, or its own
    for _ in range((joints - 2).bit_length()):  # each round doubles the limbs that a label has passed
        labels = labels.gather(1, labels.long())

    for (a, b), match in zip(limbs[tree:], matches.unbind(1)[tree:], strict=True):
        first = labels[:, a * count : (a + 1) * count, None]  # [B, N, 1]
        second = (match * labels[:, None, b * count : (b + 1) * count]).sum(2, keepdim=True)  # of the partner
        matched = match.sum(2, keepdim=True) > 0
        in_first, in_second = ((labels[:, None] == f).float() for f in (first, second))  # [B, N, K * N]
        has_first, has_second = (
            f.reshape(batch, count, joints, count).amax(3) for f in (in_first, in_second)
        )  # [B, N, K]
        merge = matched & ((has_first * has_second).amax(2, keepdim=True) == 0)
        labels = labels + (in_second * torch.where(merge, first - second, 0.0)).sum(1)
    return labels.reshape(batch, joints, count)


def collect_people(
    candidates: Candidates, labels: Tensor, people: int, threshold: float, weight: Tensor | None = None
) -> Poses:
    """Fill the person slots with the best fragments.

    A person's score is the sum of the scores of its joints divided by K, times the fragment's weight. Fragments below
    `threshold` are dropped; equal scores keep the order of labels, i.e. of class and then of reading order.

    Args:
        candidates: of K joint classes.
        labels: [B, K, N], from `label_fragments`.
        people: P, at most K * N.
        threshold: lowest score of a person.
        weight: [B, K * N] in [0, 1], of each fragment; without, 1 as in the paper.
    """
    joints, count = labels.shape[1:]
    label = torch.arange(joints * count, dtype=torch.float32, device=labels.device)
    members = fragment_members(labels).float()  # [B, K * N fragments, K * N candidates]
    fragment = (members * candidates.score.flatten(1)[:, None]).sum(2) / joints  # [B, K * N]
    fragment = fragment if weight is None else fragment * weight
    fragment = torch.where(fragment >= threshold, fragment, 0.0)
    overflow = ((fragment > 0).sum(1) - people).clamp(min=0).to(torch.int32)

    # A fragment's slot is the number of fragments before it. Counting them leaves no tie to a runtime's sort.
    mine, other = fragment[:, :, None], fragment[:, None]
    before = (other > mine) | ((other == mine) & (label < label[:, None]))  # [B, K * N, K * N]
    rank = torch.where(fragment > 0, before.float().sum(2), float(people))
    slot = torch.arange(people, dtype=torch.float32, device=labels.device)
    in_slot = (rank[:, None] == slot[:, None]).float()  # [B, P, K * N]
    score = (in_slot * fragment[:, None]).sum(2)  # [B, P]
    chosen = torch.where(score > 0, (in_slot * label).sum(2), -1.0)

    candidate_slot = rank.gather(1, labels.flatten(1).long()).reshape(labels.shape)  # [B, K, N]
    joins = (candidate_slot[:, None] == slot[:, None, None]) & candidates.valid[:, None]  # [B, P, K, N]
    weight = joins.float()
    joint_score = (weight * candidates.score[:, None]).sum(3)
    xy_cell = (weight[..., None] * candidates.xy_cell[:, None]).sum(3)
    return Poses(xy_cell, joint_score, weight.amax(3) > 0, score, overflow, chosen)


def fragment_members(labels: Tensor) -> Tensor:
    """[B, K * N, K * N] bool: which candidates (last axis) are in each fragment. `labels` is [B, K, N]."""
    label = torch.arange(labels[0].numel(), dtype=labels.dtype, device=labels.device)
    return labels.flatten(1)[:, None] == label[:, None]
