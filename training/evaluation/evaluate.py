"""Evaluate a parser on labelled images: run it on each and compute all metrics.

Metrics are in image pixels: maps are upsampled from the canvas as the service does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from model.errors import InputError
from training.data.datasets.base import ImageDataset
from training.data.datasets.image_lists import listed
from training.data.samples import DatasetError, Sample
from training.evaluation.image_metrics import ImageMetrics, compute_metrics, measure
from training.inference.predictions import Prediction, parse_image
from training.inference.predictors import Parse, Scales

Show = Callable[[Sample, Prediction], None]


@dataclass(frozen=True)
class Measured:
    """Metrics of some images of a data set."""

    metrics: dict[int, ImageMetrics]  # by index
    broken: list[dict[str, str]]  # the key of each unreadable image, and its error


def subsample(indices: Sequence[int], count: int) -> list[int]:
    """Return at most `count` of the indices, evenly spread."""
    if count >= len(indices):
        return list(indices)
    return [indices[i] for i in np.linspace(0, len(indices) - 1, count).round().astype(int)]


def choose(dataset: ImageDataset, everyone: bool, limit: int | None, only: Path | None = None) -> list[int]:
    """Return the indices to evaluate: the held-out images, all, or those of the list `only`; at most `limit` of them.

    Raises DatasetError if there are none, InputError for a limit below one.
    """
    if only is not None:
        indices = listed(dataset, only)
    elif everyone:
        indices = list(range(len(dataset)))
    else:
        indices = dataset.split()[1]
    if limit is not None and limit < 1:
        raise InputError(f"--limit {limit}: take at least one image")
    if limit is not None:
        indices = subsample(indices, limit)
    if not indices:
        raise DatasetError("no images to evaluate: name folders with real images, or take rendered ones with --all")
    return indices


def evaluate(
    parse: Parse, dataset: ImageDataset, indices: Sequence[int], scales: Scales, show: Show | None = None
) -> dict[str, Any]:
    """Return all metrics of `parse` over the images at `indices`; `show` is called with each image and its people.

    A metric without a value (no such labels) is None. Unreadable images are left out and listed under `broken`. Raises
    DatasetError if no image can be read.
    """
    measured = measure_images(parse, dataset, indices, scales, show)
    return {**compute_metrics(list(measured.metrics.values()), dataset.taxonomy), "broken": measured.broken}


def measure_images(
    parse: Parse,
    dataset: ImageDataset,
    indices: Sequence[int],
    scales: Scales,
    show: Show | None = None,
    strict: bool = False,
) -> Measured:
    """Compare each image with its labels. Raises DatasetError if an image (`strict`) or every image is unreadable."""
    metrics: dict[int, ImageMetrics] = {}
    broken: list[dict[str, str]] = []
    for index in tqdm(indices, desc="evaluate", unit="image"):
        try:
            sample = dataset.load(index)
        except DatasetError as error:
            if strict:
                raise
            broken.append({"image": dataset.records[index].key, "problem": str(error)})
            continue
        people = parse_image(parse, sample, scales)
        metrics[index] = measure(sample, people, dataset.taxonomy, dataset.records[index].negative)
        if show is not None:
            show(sample, people)
    if broken and not metrics:
        raise DatasetError(f"none of {len(broken)} images can be read; the first: {broken[0]['problem']}")
    return Measured(metrics, broken)
