"""Joints on parts: predicted parts evaluated against human-annotated joints."""

from __future__ import annotations

import numpy as np

from model.taxonomy import Taxonomy
from training.data.samples import Bool, Float32, UInt8
from training.evaluation.metrics.pixels import Int64

# Taxonomy -> joint -> parts it may lie on, without sides: a joint between two segments belongs to both.
JOINT_PARTS = {
    "densepose_coco": {
        "nose": ("head",),
        "eye": ("head",),
        "ear": ("head",),
        "shoulder": ("torso", "upper_arm"),
        "elbow": ("upper_arm", "lower_arm"),
        "wrist": ("lower_arm", "hand"),
        "hip": ("torso", "upper_leg"),
        "knee": ("upper_leg", "lower_leg"),
        "ankle": ("lower_leg", "foot"),
    }
}


def joint_part_tables(taxonomy: Taxonomy) -> tuple[Bool, Bool] | None:
    """Return the parts [K, C+1] that each joint may lie on: those of either side, and those of its own side.

    None if `JOINT_PARTS` has no such taxonomy.
    """
    table = JOINT_PARTS.get(taxonomy.name)
    if table is None:
        return None
    either = np.zeros((len(taxonomy.joint_names), len(taxonomy.part_names) + 1), bool)
    own = either.copy()
    for k, joint in enumerate(taxonomy.joint_names):
        side, joint = _side_and_name(joint)
        for c, part in enumerate(taxonomy.part_names, start=1):
            part_side, part = _side_and_name(part)
            either[k, c] = part in table[joint]
            own[k, c] = either[k, c] and part_side in ("", side)
    return either, own


def joints_on_parts(keypoints: Float32, part_map: UInt8, tables: tuple[Bool, Bool]) -> Int64:
    """Count the visible labelled joints of `keypoints` [n, K, 3].

    Returns int [4]: all; those on any part; those on a part of the joint; those on such a part of the joint's own
    side.
    """
    rows, joints = np.nonzero(keypoints[:, :, 2] == 2)
    xy = np.rint(keypoints[rows, joints, :2]).astype(int)
    xy = np.clip(xy, 0, np.array(part_map.shape[::-1]) - 1)
    part = part_map[xy[:, 1], xy[:, 0]]
    either, own = tables
    return np.array([len(rows), (part > 0).sum(), either[joints, part].sum(), own[joints, part].sum()])


def _side_and_name(name: str) -> tuple[str, str]:
    side, _, rest = name.partition("_")
    return (side, rest) if side in ("left", "right") else ("", name)
