"""Pseudo-labels: the prediction of a parser as the labels of an image, to correct or to train on."""

from __future__ import annotations

import numpy as np

from model.taxonomy import IGNORE
from training.data.convert.rasterize import RasterizedLabels, person_record
from training.data.datasets.folder_records import TEACHER
from training.data.samples import mask_boxes
from training.inference.predictions import Prediction


def make_pseudo_labels(people: Prediction, least: float) -> RasterizedLabels:
    """Return maps and records of the people with a score of at least `least`; pixels of the others become unknown.

    Joints that were not found stay unlabelled. People without pixels are left out.
    """
    pixels = np.bincount(people.person_map.ravel(), minlength=256)[1 : len(people.score) + 1]
    sure = (people.score >= least) & (pixels > 0)  # [m]
    number = np.full(256, IGNORE, np.uint8)  # by slot of the prediction
    number[0] = 0
    number[1 : len(sure) + 1][sure] = np.arange(1, sure.sum() + 1)
    owners = number[people.person_map]
    parts = np.where(owners == IGNORE, IGNORE, people.part_map).astype(np.uint8)
    boxes = mask_boxes(owners, int(sure.sum()))
    boxes[:, 2:] += 1
    keypoints = np.where(people.keypoints[..., 2:] > 0, people.keypoints, 0)[sure]  # [n, K, 3]
    keypoints[..., 2] = 2 * (keypoints[..., 2] > 0)
    rows = zip(pixels[sure].tolist(), boxes.tolist(), keypoints, strict=True)
    records = [
        person_record(row, area, (x0, y0, x1, y1), joints, TEACHER)
        for row, (area, (x0, y0, x1, y1), joints) in enumerate(rows, start=1)
    ]
    return RasterizedLabels(parts, owners, records)
