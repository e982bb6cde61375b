"""Consistency of two predictions on one image, without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.data.samples import mask_boxes
from training.evaluation.metrics.people import compare_masks
from training.evaluation.metrics.pixels import Float64
from training.evaluation.metrics.poses import pairs
from training.inference.predictions import Prediction


@dataclass(frozen=True)
class Agreement:
    """Comparison of two predictions on one image."""

    same: int  # pixels that both give the same part
    either: int  # pixels that either gives a part
    people: int  # of the first prediction
    matched: int  # of them, matched one to one to people of the second prediction with mask IoU > FOUND
    distances: Float64  # [joints of both people of a pair], relative to the height of the first one's mask


def compare_predictions(first: Prediction, second: Prediction) -> Agreement:
    """Compare pixel by pixel and joint by joint, of people matched by their masks, the most similar first."""
    shown = (first.part_map > 0) | (second.part_map > 0)
    everyone = np.ones(len(first.score), bool)
    partners = pairs(compare_masks(first.person_map, second.person_map, everyone, second.score).similarity)
    boxes = mask_boxes(first.person_map, len(everyone))
    distances = [np.zeros(0)]
    for row, column in partners:
        a, b = first.keypoints[row].astype(float), second.keypoints[column].astype(float)
        both = (a[:, 2] > 0) & (b[:, 2] > 0)
        height = boxes[row, 3] - boxes[row, 1] + 1
        distances.append(np.hypot(*(a[both, :2] - b[both, :2]).T) / height)
    return Agreement(
        same=int(((first.part_map == second.part_map) & shown).sum()),
        either=int(shown.sum()),
        people=len(everyone),
        matched=len(partners),
        distances=np.concatenate(distances),
    )


def agreement_metrics(images: Sequence[Agreement]) -> dict[str, Any]:
    """Compute consistency metrics over all images; NaN if there is nothing to compare.

    pixel_agreement  share of the pixels with a part in either prediction that have the same part in both
    people, matched  of the first predictions; with a partner in the second
    joint_distance   median distance of the same joint of matched people, relative to the person's height
    joint_distance90 90 % quantile of these distances
    """
    either = sum(image.either for image in images)
    distances = np.concatenate([np.zeros(0), *(image.distances for image in images)])
    median, tenth = np.quantile(distances, [0.5, 0.9]).tolist() if distances.size else [float("nan")] * 2
    return {
        "pixel_agreement": sum(image.same for image in images) / either if either else float("nan"),
        "people": sum(image.people for image in images),
        "matched": sum(image.matched for image in images),
        "joint_distance": median,
        "joint_distance90": tenth,
    }
