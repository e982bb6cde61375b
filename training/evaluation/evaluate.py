"""Evaluate a parser on labelled photos: run it on each and gather every figure.

Everything is measured in the photo's pixels: maps are enlarged from the canvas as the service enlarges them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from model.errors import InputError
from training.data.datasets.base import PhotoDataset
from training.data.datasets.image_lists import listed
from training.data.samples import DatasetError, Sample
from training.evaluation.image_metrics import ImageMetrics, compute_metrics, measure
from training.inference.predictions import Prediction, parse_photo
from training.inference.predictors import Parse, Scales

Show = Callable[[Sample, Prediction], None]


@dataclass(frozen=True)
class Measured:
    """Metrics of some images of a data set."""

    figures: dict[int, ImageMetrics]  # by index
    broken: list[dict[str, str]]  # those that could not be read: the photo's key and what is the matter


def subsample(indices: Sequence[int], count: int) -> list[int]:
    """At most `count` of the indices, evenly spread."""
    if count >= len(indices):
        return list(indices)
    return [indices[i] for i in np.linspace(0, len(indices) - 1, count).round().astype(int)]


def choose(photos: PhotoDataset, everyone: bool, limit: int | None, only: Path | None = None) -> list[int]:
    """Indices of the photos to measure: those held out, all, or those of the list `only`; at most `limit` of them.

    Raises DatasetError where there are none, InputError for a limit below one.
    """
    if only is not None:
        indices = listed(photos, only)
    elif everyone:
        indices = list(range(len(photos)))
    else:
        indices = photos.split()[1]
    if limit is not None and limit < 1:
        raise InputError(f"--limit {limit}: take at least one photo")
    if limit is not None:
        indices = subsample(indices, limit)
    if not indices:
        raise DatasetError("no photos to evaluate: name folders with real photos, or take rendered ones with --all")
    return indices


def evaluate(
    parse: Parse, photos: PhotoDataset, indices: Sequence[int], scales: Scales, show: Show | None = None
) -> dict[str, Any]:
    """Figures of `parse` over the photos at `indices`; `show` is called with each photo and its people.

    What has no value (no labels of the kind) is None. Photos that cannot be read are left out and stand under
    `broken`. Raises DatasetError where none can.
    """
    measured = measure_photos(parse, photos, indices, scales, show)
    return {**compute_metrics(list(measured.figures.values()), photos.taxonomy), "broken": measured.broken}


def measure_photos(
    parse: Parse,
    photos: PhotoDataset,
    indices: Sequence[int],
    scales: Scales,
    show: Show | None = None,
    strict: bool = False,
) -> Measured:
    """Each photo's figures. Raises DatasetError where a photo (`strict`) or every photo cannot be read."""
    figures: dict[int, ImageMetrics] = {}
    broken: list[dict[str, str]] = []
    for index in tqdm(indices, desc="evaluate", unit="photo"):
        try:
            sample = photos.load(index)
        except DatasetError as error:
            if strict:
                raise
            broken.append({"photo": photos.photos[index].key, "problem": str(error)})
            continue
        people = parse_photo(parse, sample, scales)
        figures[index] = measure(sample, people, photos.taxonomy, photos.photos[index].negative)
        if show is not None:
            show(sample, people)
    if broken and not figures:
        raise DatasetError(f"none of {len(broken)} photos can be read; the first: {broken[0]['problem']}")
    return Measured(figures, broken)
