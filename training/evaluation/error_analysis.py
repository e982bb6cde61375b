"""Error analysis: labels beside predictions, for every image, or for the worst and best in one grid each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.taxonomy import Taxonomy
from training.data.datasets.base import ImageDataset
from training.data.samples import Sample, UInt8
from training.evaluation.evaluate import Show
from training.evaluation.image_metrics import ImageMetrics
from training.evaluation.metrics.parts import likeness
from training.inference.predictions import Prediction, parse_image
from training.inference.predictors import Parse, Scales
from training.visualization.drawing import draw_people, image_grid

CASES, COLUMNS = 12, 2  # images in a grid, and side by side
SIDE = 400  # pixels of the longer side of an image in a grid
CAPTION = 18  # height in pixels
RANKED_BY = "mean best IoU of parts, over labelled and found people"


def draw_case(sample: Sample, people: Prediction, taxonomy: Taxonomy) -> UInt8:
    """Draw labels at the left, prediction at the right."""
    labels = draw_people(sample.image, sample.parts, sample.people, sample.keypoints, taxonomy)
    found = draw_people(sample.image, people.part_map, people.person_map, people.keypoints, taxonomy)
    return image_grid([labels, found], columns=2)


def case_writer(folder: Path, taxonomy: Taxonomy) -> Show:
    """Return a function that writes each image it is called with into `folder`, as KEY.jpg."""
    folder.mkdir(parents=True, exist_ok=True)

    def write(sample: Sample, people: Prediction) -> None:
        save(draw_case(sample, people, taxonomy), folder / f"{sample.key.replace('/', '_')}.jpg")

    return write


def rank(metrics: dict[int, ImageMetrics]) -> list[tuple[int, float]]:
    """Return indices of images and their `likeness`, the worst first; true negatives are left out."""
    values = [(index, likeness(image.parts)) for index, image in metrics.items()]
    return sorted(((index, value) for index, value in values if not math.isnan(value)), key=lambda pair: pair[1])


def write_case_grids(
    folder: Path,
    ranking: Sequence[tuple[int, float]],
    parse: Parse,
    dataset: ImageDataset,
    scales: Scales,
) -> None:
    """Write `worst.jpg` and `best.jpg`: up to `CASES` images of a ranking each, which are parsed again.

    A ranking of fewer than twice as many is divided between the two.
    """
    folder.mkdir(parents=True, exist_ok=True)
    worst = ranking[: min(CASES, -(-len(ranking) // 2))]
    best = ranking[::-1][: min(CASES, len(ranking) // 2)]
    for name, chosen in (("worst", worst), ("best", best)):
        cases = []
        for index, value in chosen:
            sample = dataset.load(index)
            case = draw_case(sample, parse_image(parse, sample, scales), dataset.taxonomy)
            cases.append(captioned(case, f"{sample.key}   {value:.3f}"))
        if cases:
            save(image_grid(cases, COLUMNS), folder / f"{name}.jpg")


def captioned(case: UInt8, text: str, size: tuple[int, int] = (2 * SIDE, SIDE)) -> UInt8:
    """Return an image with a line of text below; at most `size` (width, height) without the text."""
    picture = Image.fromarray(case)
    picture.thumbnail(size)
    grid = Image.new("RGB", (picture.width, picture.height + CAPTION))
    grid.paste(picture)
    ImageDraw.Draw(grid).text((2, picture.height + 2), text, "white", ImageFont.load_default(13))
    return np.array(grid)


def save(picture: UInt8, path: Path) -> None:
    """Write a JPEG."""
    Image.fromarray(picture).save(path, quality=90)
