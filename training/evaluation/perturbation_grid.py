"""An image grid of a few images under all perturbations, with the prediction on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from model.taxonomy import Taxonomy
from training.data.datasets.base import ImageDataset
from training.data.samples import DatasetError, Sample, UInt8
from training.evaluation.error_analysis import captioned, save
from training.evaluation.evaluate import subsample
from training.evaluation.perturbations import HFLIP_NO_SWAP, PERTURBATIONS
from training.evaluation.robustness import ORIGINAL
from training.inference.predictions import Prediction, parse_image
from training.inference.predictors import Predictor
from training.transforms.augment import letterbox
from training.visualization.drawing import draw_people, image_grid

SHEET = "perturbations.jpg"
IMAGES = 6  # on a sheet, a row each
CELL = (240, 320)  # height and width of an image there


def write_perturbations(
    folder: Path, predictor: Predictor, dataset: ImageDataset, indices: Sequence[int], names: Sequence[str]
) -> None:
    """Write `SHEET`: images at `indices`, evenly spread, in a row each; columns are the original and `names`.

    `HFLIP_NO_SWAP` has no column: it looks like `HFLIP`. Images that cannot be read are left out; nothing is written
    where none can.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in names if name != HFLIP_NO_SWAP]
    cells: list[UInt8] = []
    for index in tqdm(subsample(indices, IMAGES), desc="pictures", unit="image"):
        try:
            sample = dataset.load(index)
        except DatasetError:
            continue
        views = {ORIGINAL: sample} | {name: PERTURBATIONS[name].apply(sample, dataset.taxonomy)[0] for name in names}
        for name, view in views.items():
            answer = parse_image(predictor.parse, view, predictor.scales)
            cells.append(captioned(_cell(view, answer, dataset.taxonomy), f"{name}   {sample.key}", CELL[::-1]))
    if cells:
        save(image_grid(cells, 1 + len(names)), folder / SHEET)


def _cell(view: Sample, answer: Prediction, taxonomy: Taxonomy) -> UInt8:
    """An image of any size in a cell, with the answer in place of its labels."""
    count = len(answer.score)
    answered = replace(
        view,
        parts=answer.part_map,
        people=answer.person_map,
        keypoints=answer.keypoints,
        joints_labelled=answer.keypoints[..., 2] > 0,
        has_mask=np.ones(count, bool),
        boxes=np.zeros((count, 4), np.float32),
    )
    fitted, _ = letterbox(answered, CELL)
    return draw_people(fitted.image, fitted.parts, fitted.people, fitted.keypoints, taxonomy)
