"""Whether joints lie on their parts, in cases worked out by hand."""

from __future__ import annotations

import numpy as np

from model.taxonomy import DENSEPOSE_COCO, MHP_V2
from training.evaluation.metrics.joints import joint_part_tables, joints_on_parts

T = DENSEPOSE_COCO


def test_every_joint_may_lie_on_its_own_parts() -> None:
    tables = joint_part_tables(T)
    assert tables is not None
    either, own = tables

    def names(row: np.ndarray) -> set[str]:
        return {T.part_names[c - 1] for c in np.flatnonzero(row)}

    wrist, nose = T.joint_names.index("left_wrist"), T.joint_names.index("nose")
    assert names(own[wrist]) == {"left_lower_arm", "left_hand"}
    assert names(either[wrist]) == names(own[wrist]) | {"right_lower_arm", "right_hand"}
    assert names(own[nose]) == {"head"}
    hip = T.joint_names.index("right_hip")
    assert names(own[hip]) == {"torso", "right_upper_leg"}
    assert not either[:, 0].any()


def test_no_table_of_joints_for_clothes() -> None:
    assert joint_part_tables(MHP_V2) is None


def test_joints_on_parts_by_hand() -> None:
    tables = joint_part_tables(T)
    assert tables is not None
    part = {name: i + 1 for i, name in enumerate(T.part_names)}
    part_map = np.zeros((4, 6), np.uint8)
    part_map[0, 0], part_map[0, 1], part_map[0, 2] = part["left_hand"], part["right_hand"], part["head"]
    keypoints = np.zeros((4, len(T.joint_names), 3), np.float32)
    wrist = T.joint_names.index("left_wrist")
    # right side; wrong side; another part; background; then one that is hidden and does not count
    for person, x in enumerate((0.4, 1.2, 2.0, 5.6)):
        keypoints[person, wrist] = x, 0, 2
    keypoints[0, 0] = 0, 0, 1
    assert joints_on_parts(keypoints, part_map, tables).tolist() == [4, 3, 2, 1]
