"""Robustness of a parser: metrics on the same images, unchanged and under each of `PERTURBATIONS`.

Rows are comparable: each row has the people of the original, selected by their height there, and detection errors are
judged there too. Joints are mapped back to the original image before they are measured. OKS (object keypoint
similarity) does not change by that: an image at half the size has half the distances and a quarter of the areas. Maps
are compared in the perturbed image, with its labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from model.taxonomy import Taxonomy
from training.data.datasets.base import ImageDataset
from training.data.samples import Float32, Sample
from training.evaluation.evaluate import measure_images
from training.evaluation.image_metrics import ImageMetrics, compute_metrics, measure, plain
from training.evaluation.metrics.flip_consistency import Agreement, agreement_metrics, compare_predictions
from training.evaluation.metrics.poses import Poses, ap_difference
from training.evaluation.perturbations import HFLIP, PERTURBATIONS
from training.inference.predictions import Prediction, parse_image
from training.inference.predictors import Predictor
from training.transforms.augment import Affine

ORIGINAL = "original"


def measure_robustness(
    predictor: Predictor, dataset: ImageDataset, indices: Sequence[int], names: Sequence[str]
) -> dict[str, Any]:
    """Compute metrics of the images at `indices`, ready for JSON.

    Returns
        rows: for `ORIGINAL` and each of `names`, keys of `PERTURBATIONS`: `description`, `compute_metrics`
            without `categories` and, for a perturbation, `AP_difference` to the original with its
            `AP_difference_interval`.
        mirror: if `HFLIP` is among the names, `agreement_metrics` between the prediction on the image and the one on
            the flipped image, flipped back; else None.
        broken: unreadable images.
    Raises DatasetError if no image can be read.
    """
    taxonomy = dataset.taxonomy
    perturbed: dict[str, list[tuple[ImageMetrics, Affine]]] = {name: [] for name in names}
    agreements: list[Agreement] = []

    def perturb(sample: Sample, people: Prediction) -> None:
        image, predicted = sample.image, people
        for name in names:
            view, affine = PERTURBATIONS[name].apply(sample, taxonomy)
            if not np.array_equal(view.image, image):  # if only labels differ, the prediction is the same
                image, predicted = view.image, parse_image(predictor.parse, view, predictor.scales)
            perturbed[name].append((measure(view, predicted, taxonomy, negative=False), affine))
            if name == HFLIP:
                agreements.append(compare_predictions(people, mirror_people(predicted, taxonomy)))

    measured = measure_images(predictor.parse, dataset, indices, predictor.scales, perturb)
    originals = list(measured.metrics.values())
    rows = {ORIGINAL: _row("as they are", originals, taxonomy)}
    for name, views in perturbed.items():
        metrics = [as_original(*view, original) for view, original in zip(views, originals, strict=True)]
        rows[name] = _row(PERTURBATIONS[name].description, metrics, taxonomy) | _difference(
            metrics, originals, taxonomy
        )
    return plain(
        {"rows": rows, "mirror": agreement_metrics(agreements) if agreements else None, "broken": measured.broken}
    )


def mirror_people(people: Prediction, taxonomy: Taxonomy) -> Prediction:
    """Flip a prediction back: pixels and points mirrored, left and right exchanged."""
    keypoints = people.keypoints[:, list(taxonomy.joint_flip)]  # [m, K, 3]
    found = keypoints[..., 2] > 0
    keypoints[..., 0] = np.where(found, people.part_map.shape[1] - 1 - keypoints[..., 0], 0)
    part_flip = np.array(taxonomy.part_flip, np.uint8)
    return replace(
        people,
        part_map=part_flip[people.part_map[:, ::-1]],
        person_map=people.person_map[:, ::-1],
        keypoints=keypoints,
        part_score=people.part_score[:, part_flip[1:] - 1],
    )


def as_original(view: ImageMetrics, affine: Affine, original: ImageMetrics) -> ImageMetrics:
    """Restrict the metrics of a perturbed image to the people that count in `original`; `affine` maps that to the view.

    A person who is too small for a pixel in the view counts as not found.
    """
    return replace(
        view,
        negative=original.negative,
        poses=_poses_in_original(view.poses, affine, original.poses),
        tall=original.tall,
        masks=replace(view.masks, countable=original.masks.countable),
    )


def _poses_in_original(view: Poses, affine: Affine, original: Poses) -> Poses:
    found = _back(view.found, affine)
    heights = [float(np.ptp(joints[joints[:, 2] > 0, 1])) if joints[:, 2].any() else 0.0 for joints in found]
    return replace(
        view,
        gt=_back(view.gt, affine),
        area=original.area,
        height=original.height,
        found=found,
        found_area=view.found_area / abs(np.linalg.det(affine[:, :2])),
        found_height=np.array(heights, float),
    )


def _back(joints: Float32, affine: Affine) -> Float32:
    """Map joints [n, K, 3] of the perturbed image to the original's pixels; those with v or score 0 become zeros."""
    edge = joints[..., :2] + 0.5 - affine[:, 2]
    xy = edge @ np.linalg.inv(affine[:, :2]).T - 0.5
    return np.where(joints[..., 2:] > 0, np.concatenate([xy, joints[..., 2:]], axis=-1), 0).astype(np.float32)


def _row(description: str, metrics: Sequence[ImageMetrics], taxonomy: Taxonomy) -> dict[str, Any]:
    summary = compute_metrics(metrics, taxonomy)
    del summary["categories"]
    return {"description": description, **summary}


def _difference(
    metrics: Sequence[ImageMetrics], originals: Sequence[ImageMetrics], taxonomy: Taxonomy
) -> dict[str, Any]:
    poses, others = ([image.poses for image in row] for row in (metrics, originals))
    difference, interval = ap_difference(poses, others, taxonomy.joint_sigmas)
    return {"AP_difference": difference, "AP_difference_interval": interval}
