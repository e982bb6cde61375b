"""Joints on parts: predicted parts evaluated against human-annotated joints."""

from __future__ import annotations

import numpy as np

from model.taxonomy import Taxonomy, parts_at_joints
from training.data.samples import Bool, Float32, UInt8
from training.evaluation.metrics.pixels import Int64


def joint_part_tables(taxonomy: Taxonomy) -> tuple[Bool, Bool] | None:
    """Return the parts [K, C+1] that each joint may lie on: those of either side, and those of its own side.

    None if `parts_at_joints` does not know the taxonomy.
    """
    tables = []
    for own_side in (False, True):
        parts = parts_at_joints(taxonomy, own_side)
        if parts is None:
            return None
        table = np.zeros((len(taxonomy.joint_names), len(taxonomy.part_names) + 1), bool)
        for joint, ids in enumerate(parts):
            table[joint, list(ids)] = True
        tables.append(table)
    return tables[0], tables[1]


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
