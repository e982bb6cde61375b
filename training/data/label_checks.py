"""Plausibility checks of labels: per image, and of left and right over many images.

Measured on 1,000 real and synthetic images with correct names: shoulders are on the wrong side for 1 to 16 % of the
people who face the camera, parts for 2 to 19 %, so no name is reported; 0.05 % of visible joints are `FAR` from their
mask.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from scipy.ndimage import distance_transform_edt

from model.taxonomy import IGNORE, Taxonomy
from training.data.samples import Float32, Sample

FAR = 0.2  # of the larger side of a person's box
FACING = ("nose", "left_eye", "right_eye")  # if all are visible, the person faces the camera
PART_JOINTS = {
    "hand": "wrist", "foot": "ankle", "shoe": "ankle", "boot": "ankle", "sandal": "ankle", "highheel": "ankle",
    "arm": "elbow", "leg": "knee",
}  # fmt: skip
ENOUGH = 20  # least people for which a name is judged
SMALLEST = 20  # least pixels of a part that is judged


def check_labels(sample: Sample, taxonomy: Taxonomy) -> list[str]:
    """Return suspicious labels of one image, one sentence each."""
    found = []
    count = len(sample.keypoints)
    parts = np.flatnonzero(np.bincount(sample.parts.ravel(), minlength=256))
    people = np.flatnonzero(np.bincount(sample.people.ravel(), minlength=256))
    if wrong := [int(part) for part in parts if len(taxonomy.part_names) < part < IGNORE]:
        found.append(f"part ids {_listed(wrong)}, but {taxonomy.name} ends at {len(taxonomy.part_names)}")
    if wrong := [int(person) for person in people if count < person < IGNORE]:
        found.append(f"the people map has {_listed(wrong)}, but only {count} people are annotated")
    if wrong := [row + 1 for row in range(count) if sample.has_mask[row] and row + 1 not in people]:
        found.append(f"people {_listed(wrong)} are annotated with a mask, but have no pixel in the people map")
    if stray := int(((sample.parts > 0) & (sample.people == 0)).sum()):
        found.append(f"{stray} pixels have a part but no person")
    for row, joints in enumerate(sample.keypoints):
        outside = _outside(joints, sample.size)
        if outside.any():
            found.append(f"person {row + 1} has joints outside the image: {_names(outside, taxonomy)}")
        far = _far(sample, row) & ~outside
        if far.any():
            found.append(f"person {row + 1} has visible joints far from their mask: {_names(far, taxonomy)}")
    return found


class LeftRightCheck:
    """Counts over images how often left and right names contradict each other or the image."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        joints = taxonomy.joint_names
        self._facing = [joints.index(name) for name in FACING] if set(FACING) <= set(joints) else []
        self._parts = {}  # name of the left part: its id, the right one's, the left joint, the right one
        for a, b in taxonomy.part_flip_pairs:
            left, right = sorted((a, b), key=lambda part: "left" not in taxonomy.part_names[part - 1])
            name = taxonomy.part_names[left - 1]
            joint = next((j for fragment, j in PART_JOINTS.items() if fragment in name), None)
            if joint is not None:
                self._parts[name] = left, right, joints.index(f"left_{joint}"), joints.index(f"right_{joint}")
        self._seen: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()

    def add(self, sample: Sample) -> None:
        """Count the people of one image."""
        for row, joints in enumerate(sample.keypoints):
            self._add_joints(joints)
            if sample.has_mask[row]:
                self._add_parts(sample, row, joints)

    def warnings(self) -> list[str]:
        """Return one sentence for each name that is wrong for most of at least `ENOUGH` people."""
        doubted = [name for name, seen in self._seen.items() if seen >= ENOUGH and self._wrong[name] > seen / 2]
        return [
            f"{name}: on the wrong side for {self._wrong[name]} of {self._seen[name]} people; are left and right "
            "swapped? Left is the person's own, at the right of the picture for who faces the camera"
            for name in doubted
        ]

    def _add_joints(self, joints: Float32) -> None:
        """Check joints of people who face the camera: their left side is on the right of the image."""
        if not self._facing or not (joints[self._facing, 2] == 2).all():
            return
        for left, right in self.taxonomy.joint_flip_pairs:
            name = self.taxonomy.joint_names[left]
            if name in ("left_shoulder", "left_hip") and joints[left, 2] > 0 and joints[right, 2] > 0:
                self._count(name, joints[left, 0] < joints[right, 0])

    def _add_parts(self, sample: Sample, row: int, joints: Float32) -> None:
        """Check parts: a left hand is nearer to the left wrist than to the right one."""
        mask = sample.people == row + 1
        for name, (left, right, left_joint, right_joint) in self._parts.items():
            if joints[left_joint, 2] == 0 or joints[right_joint, 2] == 0:
                continue
            for part, own, other in ((left, left_joint, right_joint), (right, right_joint, left_joint)):
                ys, xs = np.nonzero(mask & (sample.parts == part))
                if xs.size >= SMALLEST:
                    center = np.array([xs.mean(), ys.mean()])
                    distances = np.hypot(*(joints[[own, other], :2] - center).T)
                    self._count(name, distances[1] < distances[0])

    def _count(self, name: str, wrong: np.bool_) -> None:
        self._seen[name] += 1
        self._wrong[name] += bool(wrong)


def _outside(joints: Float32, size: tuple[int, int]) -> np.ndarray:
    x, y, v = joints.T
    return (v > 0) & ((x < -0.5) | (y < -0.5) | (x >= size[1] - 0.5) | (y >= size[0] - 0.5))


def _far(sample: Sample, row: int) -> np.ndarray:
    """Return bool [K]: visible joints inside the image that are too far from their person's mask."""
    x, y, v = sample.keypoints[row].T
    far = np.zeros(len(v), bool)
    mask = sample.people == row + 1
    seen = np.flatnonzero((v == 2) & ~_outside(sample.keypoints[row], sample.size))
    columns, rows = np.rint(x[seen]).astype(int), np.rint(y[seen]).astype(int)
    if not sample.has_mask[row] or mask[rows, columns].all() or not mask.any():
        return far
    x0, y0, x1, y1 = sample.boxes[row]
    far[seen] = distance_transform_edt(~mask)[rows, columns] > FAR * max(x1 - x0, y1 - y0, 1)
    return far


def _names(joints: np.ndarray, taxonomy: Taxonomy) -> str:
    return ", ".join(taxonomy.joint_names[k] for k in np.flatnonzero(joints))


def _listed(ids: list[int]) -> str:
    return ", ".join(map(str, ids))
