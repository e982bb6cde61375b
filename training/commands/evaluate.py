"""Measure a checkpoint or a bundle on photos held out of training."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from model.canvases import CANVASES
from model.taxonomy import Taxonomy
from training.datasets.open import open_dataset
from training.evaluate import PhotoPeople, evaluate, table
from training.pictures import contact_sheet, draw_people
from training.predictors import open_predictor
from training.samples import DatasetError, Sample

HELP = "measure a checkpoint or bundle on photos held out of training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "parser", type=Path, metavar="CHECKPOINT|BUNDLE", help="a bundle is a folder with manifest.json"
    )
    parser.add_argument("data", nargs="+", type=Path, help="data sets")
    parser.add_argument("--detail", choices=sorted(CANVASES), default="fast", help="how large photos are shown to it")
    parser.add_argument("--decoder", nargs="*", default=[], metavar="NAME=VALUE", help="instead of a checkpoint's own")
    parser.add_argument("--all", action="store_true", help="every photo: for sets that nothing was trained on")
    parser.add_argument("--limit", type=int, help="at most so many photos, evenly spread")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--pictures", type=Path, help="write labels and prediction of each photo into this folder")


def run(chosen: argparse.Namespace) -> int:
    """Print the table, and write what was asked for."""
    predictor = open_predictor(chosen.parser, chosen.detail, chosen.decoder)
    photos = open_dataset(chosen.data, predictor.taxonomy)
    indices = list(range(len(photos))) if chosen.all else photos.split()[1]
    if chosen.limit is not None and chosen.limit < 1:
        raise ValueError(f"--limit {chosen.limit}: take at least one photo")
    if chosen.limit is not None and chosen.limit < len(indices):
        indices = [indices[i] for i in np.linspace(0, len(indices) - 1, chosen.limit).round().astype(int)]
    if not indices:
        raise DatasetError("no photos to evaluate: name folders with real photos, or take rendered ones with --all")
    show = None if chosen.pictures is None else _painter(chosen.pictures, predictor.taxonomy)
    figures = evaluate(predictor.parse, photos, indices, predictor.canvases, show)
    names = " ".join(path.resolve().name for path in (chosen.parser, *chosen.data))  # not where they lie: it is shared
    options = "".join(f" --{name} {getattr(chosen, name)}" for name in ("detail", "limit") if getattr(chosen, name))
    decoder = f" --decoder {' '.join(chosen.decoder)}" if chosen.decoder else ""
    report = {
        "command": f"python -m training evaluate {names}{options}{decoder}{' --all' * chosen.all}",
        "parser": predictor.name,
        "kind": predictor.kind,
        "taxonomy": predictor.taxonomy.name,
        "detail": chosen.detail,
        **figures,
    }
    print(table(report))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return 0


def _painter(folder: Path, taxonomy: Taxonomy) -> Callable[[Sample, PhotoPeople], None]:
    """Writes, for each photo, its labels beside the prediction."""
    folder.mkdir(parents=True, exist_ok=True)

    def paint(sample: Sample, people: PhotoPeople) -> None:
        labels = draw_people(sample.image, sample.parts, sample.people, sample.keypoints, taxonomy)
        found = draw_people(sample.image, people.part_map, people.person_map, people.keypoints, taxonomy)
        Image.fromarray(contact_sheet([labels, found], columns=2)).save(folder / f"{sample.key}.jpg", quality=90)

    return paint
