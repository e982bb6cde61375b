"""Poses of drawn people, for tests of the metrics."""

from __future__ import annotations

import numpy as np

from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures
from training.evaluation.metrics.poses import Poses

T = DENSEPOSE_COCO
K = len(T.joint_names)
SIGMAS = T.joint_sigmas
FLIP = T.joint_flip


def scene(people: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints, areas and heights of drawn people, every joint labelled."""
    sample = draw_figures(T, people=people, seed=seed, size=(300, 100 * max(people, 1)), height=0.6)
    area = np.bincount(sample.people.ravel(), minlength=people + 1)[1 : people + 1].astype(float)
    return sample.keypoints, area, (sample.boxes[:, 3] - sample.boxes[:, 1]).astype(float)


def poses(gt: np.ndarray, area: np.ndarray, height: np.ndarray, found: np.ndarray) -> Poses:
    """Predictions by falling score, large, none ignored."""
    m = len(found)
    return Poses(
        gt=gt,
        area=area,
        height=height,
        found=found.astype(np.float32),
        score=np.linspace(0.9, 0.5, m).astype(np.float32),
        found_area=np.full(m, 5000.0),
        found_height=np.full(m, 150.0),
        dt_ignore=np.zeros(m, bool),
    )


def nobody() -> np.ndarray:
    return np.zeros((0, K, 3), np.float32)
