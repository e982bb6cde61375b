"""One canvas seen twice: as it is, and in a mirror.

What is wrong in one view is often right in the other. The average of both costs a second pass of the network.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.maps import HeadMaps
from model.taxonomy import Taxonomy


def as_views(image: Tensor) -> Tensor:
    """V times the same canvas, uint8 [V, H, W, 3] with V = 1 or 2, the second mirrored."""
    return torch.cat((image[:1], image[1:].flip(2)))


def average_views(maps: HeadMaps, taxonomy: Taxonomy) -> HeadMaps:
    """Mean [1, ..., h, w] of what the network says of `as_views` [V, ..., h, w], mirrored back; itself where V = 1."""
    back = mirrored(HeadMaps(*(m[1:] for m in maps)), taxonomy)
    return HeadMaps(*(torch.cat((m[:1], b)).mean(0, keepdim=True) for m, b in zip(maps, back, strict=True)))


def mirrored(maps: HeadMaps, taxonomy: Taxonomy) -> HeadMaps:
    """The mirror image of maps [B, ..., h, w]: right and left change places, horizontal components their sign."""
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
