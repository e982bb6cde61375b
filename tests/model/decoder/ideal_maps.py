"""Maps that a perfect network would return, drawn from known people by plain loops."""

from __future__ import annotations

import numpy as np
import torch

from model.maps import HeadMaps
from model.taxonomy import Taxonomy
from training.transforms.fields import center_maps

SURE = 12.0  # logit of what is true; of what is false with the other sign


def ideal_maps(
    taxonomy: Taxonomy, keypoints: np.ndarray, person: np.ndarray, part: np.ndarray, radius_cell: float = 8.0
) -> HeadMaps:
    """Maps of one image.

    keypoints: [n, K, 3], x and y in cells and 1 where the joint is seen; person, part: [h, w], 0 nothing.
    """
    height, width = person.shape
    joints = len(taxonomy.joint_names)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    heat = np.full((joints, height, width), -SURE, np.float32)
    offsets = np.zeros((joints, 2, height, width), np.float32)
    nearest = np.full((joints, height, width), np.inf)
    for pose in keypoints:
        for k, (px, py, seen) in enumerate(pose):
            distance = np.hypot(px - x, py - y)
            closer = (distance < nearest[k]) & (seen > 0)
            nearest[k][closer] = distance[closer]
            offsets[k][:, closer] = np.stack((px - x, py - y))[:, closer]
            heat[k][closer & (distance <= radius_cell)] = SURE
    limbs = np.full((len(taxonomy.limbs), height, width), -SURE, np.float32)
    for limb, (a, b) in zip(limbs, taxonomy.limbs, strict=True):
        for pose in keypoints:
            if pose[a, 2] and pose[b, 2]:
                start, along = pose[a, :2], pose[b, :2] - pose[a, :2]
                t = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(along @ along, 1e-6)
                t = t.clip(0, 1)
                distance = np.hypot(start[0] + t * along[0] - x, start[1] + t * along[1] - y)
                limb[distance < 1.5] = SURE
    field = np.zeros((2, height, width), np.float32)
    for index, pose in enumerate(keypoints):
        best = np.full((height, width), np.inf)
        for px, py, seen in pose:
            distance = np.hypot(px - x, py - y)
            closer = (distance < best) & (person == index + 1) & (seen > 0)
            best[closer] = distance[closer]
            field[:, closer] = np.stack((px - x, py - y))[:, closer]
    logits = np.full((len(taxonomy.part_names) + 1, height, width), -SURE / 2, np.float32)
    np.put_along_axis(logits, part[None].astype(np.int64), SURE / 2, 0)
    center, ways = center_maps(keypoints[..., :2], keypoints[..., 2] > 0, (height, width))
    centers = (SURE * (2.0 * center - 1), ways)
    maps = (logits, field, heat, offsets, limbs, *centers)
    return HeadMaps(*(torch.from_numpy(m.astype(np.float32))[None] for m in maps))


def stack(*maps: HeadMaps) -> HeadMaps:
    """A batch of single images."""
    return HeadMaps(*(torch.cat(m) for m in zip(*maps, strict=True)))


def standing_person(x: float, y: float, height: float) -> np.ndarray:
    """[17, 3], a COCO person seen from the front, centred at (x, y), in cells."""
    shape = np.array([
        (0, -.45), (.03, -.47), (-.03, -.47), (.06, -.46), (-.06, -.46), (.12, -.32), (-.12, -.32), (.18, -.17),
        (-.18, -.17), (.2, -.02), (-.2, -.02), (.08, 0), (-.08, 0), (.09, .23), (-.09, .23), (.09, .45), (-.09, .45),
    ])  # fmt: skip
    return np.concatenate((shape * height + (x, y), np.ones((17, 1))), 1).astype(np.float32)
