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

GRID = "perturbations.jpg"
IMAGES = 6  # rows of the grid
CELL = (240, 320)  # height and width of a cell


def write_perturbations(
    folder: Path, predictor: Predictor, dataset: ImageDataset, indices: Sequence[int], names: Sequence[str]
) -> None:
    """Write `GRID`: a row per image, evenly spread over `indices`; columns are the original and `names`.

    `HFLIP_NO_SWAP` has no column: it looks like `HFLIP`. Unreadable images are left out. Nothing is written if none
    can be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in names if name != HFLIP_NO_SWAP]
    cells: list[UInt8] = []
    for index in tqdm(subsample(indices, IMAGES), desc="perturbations", unit="image"):
        try:
            sample = dataset.load(index)
        except DatasetError:
            continue
        views = {ORIGINAL: sample} | {name: PERTURBATIONS[name].apply(sample, dataset.taxonomy)[0] for name in names}
        for name, view in views.items():
            people = parse_image(predictor.parse, view, predictor.scales)
            cells.append(captioned(_cell(view, people, dataset.taxonomy), f"{name}   {sample.key}", CELL[::-1]))
    if cells:
        save(image_grid(cells, 1 + len(names)), folder / GRID)


def _cell(view: Sample, people: Prediction, taxonomy: Taxonomy) -> UInt8:
    """Draw the prediction for an image of any size in a cell."""
    count = len(people.score)
    predicted = replace(
        view,
        parts=people.part_map,
        people=people.person_map,
        keypoints=people.keypoints,
        joints_labelled=people.keypoints[..., 2] > 0,
        has_mask=np.ones(count, bool),
        pseudo_mask=np.zeros(count, bool),
        boxes=np.zeros((count, 4), np.float32),
    )
    fitted, _ = letterbox(predicted, CELL)
    return draw_people(fitted.image, fitted.parts, fitted.people, fitted.keypoints, taxonomy)
