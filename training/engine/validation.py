"""Validation during training: a few metrics and an image grid on held-out images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from model.network import Network
from model.parser import HumanParser
from training.config.train_config import TrainConfig
from training.data.datasets.base import ImageDataset
from training.data.samples import Sample, UInt8
from training.evaluation.evaluate import evaluate, subsample
from training.inference.predictions import Prediction
from training.inference.predictors import parse_with
from training.visualization.drawing import draw_people, image_grid

PICTURED = 8  # images in the grid

Metrics = dict[str, float | None]


def validate(
    network: Network, config: TrainConfig, dataset: ImageDataset, indices: Sequence[int]
) -> tuple[Metrics, Image.Image]:
    """Return metrics of at most `config.num_val_images` images, and an image grid with labels above predictions.

    Raises ValueError if there is no image.
    """
    chosen = subsample(indices, config.num_val_images)
    if not chosen:
        raise ValueError("no image to validate on")
    labelled: list[UInt8] = []
    predicted: list[UInt8] = []

    def show(sample: Sample, people: Prediction) -> None:
        if len(labelled) < PICTURED:
            gt = draw_people(sample.image, sample.parts, sample.people, sample.keypoints, dataset.taxonomy)
            found = draw_people(sample.image, people.part_map, people.person_map, people.keypoints, dataset.taxonomy)
            for row, drawn in ((labelled, gt), (predicted, found)):
                row.append(_small(drawn, config.input_size))

    parser = HumanParser(network, config.decoder).eval()
    report = evaluate(parse_with(parser), dataset, chosen, [[config.input_size]], show)
    parts = report["parts"]
    metrics: Metrics = {
        "mIoU": parts["mIoU"],
        "APp50": parts["APp50"],
        "PCP50": parts["PCP50"],
        "mask_IoU": report["masks"]["mean_IoU"],
        "keypoint_AP": report["keypoints"]["AP"],
    }
    return metrics, Image.fromarray(image_grid([*labelled, *predicted], columns=len(labelled)))


def _small(drawn: UInt8, size: tuple[int, int]) -> UInt8:
    """Downscale to at most `size` (height, width), with the same aspect ratio."""
    image = Image.fromarray(drawn)
    image.thumbnail(size[::-1])
    return np.asarray(image)
