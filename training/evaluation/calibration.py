"""Fit the calibration of person scores: from scores to the probability that a person is correct.

A person is correct if the pose has an OKS (object keypoint similarity) above 0.5 with a labelled person that no more
similar one is matched to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from tqdm import tqdm

from model.canvases import best_canvas
from model.config import STRIDE
from model.decoder.association import box_scale
from model.decoder.calibration import part_certainty
from model.manifest import Size
from model.parser import HumanParser
from training.data.datasets.base import ImageDataset
from training.data.samples import Bool
from training.evaluation.image_metrics import measure
from training.evaluation.metrics.pixels import Float64
from training.evaluation.metrics.poses import oks, pairs
from training.inference.predictions import to_image
from training.inference.predictors import first_canvas
from training.transforms.augment import letterbox

Weights = tuple[float, float, float, float]

RIGHT = 0.5  # OKS
BINS = 10  # of the reliability curve
_PULL = 1e-4  # towards weights of 0


@dataclass(frozen=True)
class ScoredPeople:
    """n predicted people: uncalibrated scores, and whether they are correct."""

    score: Float64
    area: Float64  # of the box around their joints, in cells
    certainty: Float64  # of the parts of their cells, `model.decoder.calibration.part_certainty`
    right: Bool


@torch.inference_mode()
def score_people(
    parser: HumanParser, dataset: ImageDataset, indices: Sequence[int], canvases: Sequence[Size]
) -> ScoredPeople:
    """Return the people of `parser`, without calibration; those on unknown pixels are left out.

    Raises DatasetError if an image cannot be read.
    """
    config = replace(parser.decoder.config, calibration=(0.0, 0.0, 0.0))
    device = next(parser.parameters()).device
    parser = HumanParser(parser.network, config).eval().to(device)
    rows: list[tuple[float, float, float, bool]] = []
    for index in tqdm(indices, desc="people", unit="image"):
        sample = dataset.load(index)
        canvas, box = letterbox(sample, best_canvas(sample.size, canvases))
        maps = parser.network(torch.from_numpy(canvas.image[None]).to(device))
        people = first_canvas(parser.decoder(maps))
        assigned = parser.decoder.assign(maps)
        cells = (maps.part_logits, assigned.cell_person, assigned.owned)
        certainty = part_certainty(*cells, config.max_people)[0].tolist()
        found = to_image(people, box, sample.size)
        poses = measure(sample, found, dataset.taxonomy, dataset.records[index].negative).poses
        similarity = oks(poses.gt, poses.area, poses.found, dataset.taxonomy.joint_sigmas)
        right = {column for row, column in pairs(similarity) if similarity[row, column] > RIGHT}
        joints = torch.from_numpy(people.keypoints)[None]
        area = box_scale(joints[..., :2] / STRIDE, joints[..., 2] > 0)[0].square().tolist()
        rows += [
            (float(poses.score[i]), area[i], certainty[i], i in right)
            for i in range(len(poses.score))
            if i in right or not poses.dt_ignore[i]
        ]
    table = np.array(rows, float).reshape(-1, 4)
    return ScoredPeople(table[:, 0], table[:, 1], table[:, 2], table[:, 3] > 0)


def fit_calibration(people: ScoredPeople) -> Weights:
    """Return w_0 to w_3 of `model.decoder.calibration.calibrate` with the least log loss.

    Neither a higher score nor a higher certainty lowers the probability. Raises ValueError if all people are correct,
    or none.
    """
    if people.right.all() or not people.right.any():
        raise ValueError(f"{people.right.sum()} of {len(people.right)} people are right: fit on images with both kinds")
    features = _features(people)
    sign = np.where(people.right, 1.0, -1.0)

    def loss(weights: NDArray[np.float64]) -> float:
        return float(np.logaddexp(0, -sign * (weights @ features)).mean() + _PULL * (weights**2).sum() / 2)

    free, not_negative = (None, None), (0, None)
    bounds = [free, not_negative, free, not_negative]
    found = minimize(loss, np.array([1.0, 1.0, 0.0, 0.0]), method="L-BFGS-B", bounds=bounds)
    constant, of_score, of_area, of_certainty = found.x.round(4).tolist()
    return constant, of_score, of_area, of_certainty


def calibrated(people: ScoredPeople, weights: Weights) -> Float64:
    """Return the probabilities [n] that `calibrate` computes."""
    probability: Float64 = 1 / (1 + np.exp(-np.array(weights) @ _features(people)))
    return probability


def _features(people: ScoredPeople) -> Float64:
    """What the weights count, [4, n]."""
    return np.stack((np.ones_like(people.score), np.log(people.score), np.log(people.area), people.certainty))


def reliability(probability: Float64, right: Bool) -> list[tuple[float, float, int]]:
    """Return mean probability, share of correct people and their number, for each of `BINS` intervals with any."""
    number = np.minimum((probability * BINS).astype(int), BINS - 1)
    return [
        (float(probability[number == i].mean()), float(right[number == i].mean()), int((number == i).sum()))
        for i in range(BINS)
        if (number == i).any()
    ]


def calibration_error(curve: Sequence[tuple[float, float, int]]) -> float:
    """Return the expected calibration error: the mean distance of the curve to the diagonal, weighted by people."""
    return sum(abs(said - was) * count for said, was, count in curve) / sum(count for *_, count in curve)
