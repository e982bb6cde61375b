"""The 14 joints that Xia et al. (CVPR 2017) added to PASCAL-Person-Part, one MATLAB file per image.

A file has two cell arrays with one cell per person: `boxes` [1, 4] (x0, y0, x1, y1) and `joints` [14, 3] (x, y, flag).
The archive has no description. Two public loaders agree on the above and on the order below, but only one says which
side comes first: left. They read flag 1 as visible and 2 as occluded, and 0 or NaN if a joint has no position. The
files do not say which human of the label maps a person is; their boxes are matched.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from model.taxonomy import PASCAL_PERSON_PART
from training.data.datasets.label_files import inside, list_names, read_mat
from training.data.samples import Bool, DatasetError, Float32

FOLDERS = ("PersonJoints", "pose_annotations")
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
FILE_ORDER = ("forehead", "neck", *(f"{side}_{joint}" for side in ("left", "right") for joint in LIMBS))
FROM_FILE = [FILE_ORDER.index(name) for name in PASCAL_PERSON_PART.joint_names]
VISIBLE, OCCLUDED = 1, 2  # flags of a joint in the files
SAME_PERSON = 0.5  # least IoU of a person's box and the box around a human's mask


def joint_files(root: Path) -> dict[str, Path]:
    """Return the joint file of each image that has one, by image id."""
    for folder in FOLDERS:
        if (root / folder).is_dir():
            return {Path(name).stem: root / folder / name for name in list_names(root / folder)}
    return {}


def read_joints(path: Path, boxes: Float32, size: tuple[int, int]) -> tuple[Float32, Float32, Bool]:
    """Read the joints of the humans with the given boxes [n, 4], and of people who have joints but no mask.

    Returns boxes [m, 4], keypoints [m, K, 3] and which of them are labelled [m, K]: the n humans first, then the
    m - n people without a matching mask. Raises DatasetError if the file is missing or broken.
    """
    content = read_mat(path)
    try:
        found = np.array([np.asarray(box, np.float32).reshape(4) for box in content["boxes"].flat]).reshape(-1, 4)
        poses = np.array([np.asarray(pose, np.float32) for pose in content["joints"].flat]).reshape(-1, 14, 3)
        if len(found) != len(poses):
            raise ValueError(f"{len(found)} boxes, {len(poses)} people")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} is no file of joints ({error!r}): unpack its archive again") from error
    overlap = _iou(found, boxes)  # [people, n]
    people, humans = linear_sum_assignment(overlap, maximize=True)
    row_of = {p: int(h) for p, h in zip(people.tolist(), humans.tolist(), strict=True) if overlap[p, h] >= SAME_PERSON}
    alone = [person for person in range(len(found)) if person not in row_of]
    row_of |= {person: len(boxes) + extra for extra, person in enumerate(alone)}

    boxes = np.concatenate([boxes, found[alone]])  # [m, 4]
    keypoints = np.zeros((len(boxes), len(FROM_FILE), 3), np.float32)
    for person, row in row_of.items():
        keypoints[row] = _keypoints(poses[person], size)
    return boxes, keypoints, keypoints[:, :, 2] > 0


def _keypoints(pose: Float32, size: tuple[int, int]) -> Float32:
    """Return keypoints [K, 3] in the taxonomy's order; v = 0 if the file gives no position inside the image."""
    x, y, flag = pose[FROM_FILE].T
    placed = inside(x, y, size)
    visibility = np.select([placed & (flag == VISIBLE), placed & (flag == OCCLUDED)], [2, 1], 0)
    return np.where(visibility[:, None] > 0, np.stack([x, y, visibility], axis=1), 0).astype(np.float32)


def _iou(a: Float32, b: Float32) -> Float32:
    """Return the intersection over union [len(a), len(b)] of boxes whose corners are pixels."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.maximum(high - low + 1, 0).prod(axis=2)  # [a, b]
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1) for boxes in (a, b))
    iou: Float32 = common / (area_a[:, None] + area_b[None] - common)
    return iou
