"""Horizontal-flip test-time augmentation (TTA): one canvas as it is, and mirrored.

The average of both is better than either and costs a second pass of the network.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.maps import HeadMaps
from model.taxonomy import Taxonomy


def stack_flipped(image: Tensor) -> Tensor:
    """Mirror the second of V copies of one canvas, uint8 [V, H, W, 3]; V is 1 or 2."""
    return torch.cat((image[:1], image[1:].flip(2)))


def merge_flipped(maps: HeadMaps, taxonomy: Taxonomy) -> HeadMaps:
    """Average maps [V, ..., h, w] of `stack_flipped`, mirrored back, to [1, ..., h, w]; V may be 1."""
    back = flip_maps(HeadMaps(*(m[1:] for m in maps)), taxonomy)
    # A sum over no views costs less than a mean over one.
    return HeadMaps(*((m[:1] + b.sum(0, keepdim=True)) / m.shape[0] for m, b in zip(maps, back, strict=True)))


def flip_maps(maps: HeadMaps, taxonomy: Taxonomy) -> HeadMaps:
    """Mirror maps [B, ..., h, w]: left and right classes are exchanged, horizontal components negated."""
    parts, projection, heatmap, offsets, limbs, center, regression = (m.flip(-1) for m in maps)
    joints = list(taxonomy.joint_flip)
    return HeadMaps(
        part_logits=parts[:, list(taxonomy.part_flip)],
        projection_field=torch.cat((-projection[:, :1], projection[:, 1:]), 1),
        heatmap_logits=heatmap[:, joints],
        offsets=torch.cat((-offsets[:, :, :1], offsets[:, :, 1:]), 2)[:, joints],
        limb_logits=limbs[:, list(taxonomy.limb_flip)],
        center_logits=center,
        regression=torch.cat((-regression[:, :, :1], regression[:, :, 1:]), 2)[:, joints],
    )
