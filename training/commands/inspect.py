"""Inspect a data set: statistics, suspicious labels, and an image grid of its targets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from model.config import DecoderConfig
from model.errors import InputError
from model.taxonomy import TAXONOMIES, get_taxonomy
from training.config.recipes import RECIPES
from training.data.dataset_stats import DatasetStats, license_table
from training.data.datasets.base import ImageDataset
from training.data.datasets.open import open_dataset
from training.data.label_checks import LeftRightCheck, check_labels
from training.data.samples import DatasetError
from training.transforms.training_set import TrainingSet
from training.visualization.target_grid import Row, draw_target_grid, fit

HELP = "inspect a data set: statistics, suspicious labels, and an image grid of its targets"
SHOWN = 20  # warnings
SUFFIXES = (".png", ".jpg", ".jpeg")
CANVAS = 512  # the longer side on which images are encoded, as in the paper's recipes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("data", nargs="+", type=Path, help="data sets, in any layout of docs/datasets.md")
    parser.add_argument("--out", type=Path, help="write the image grid there (.png or .jpg)")
    parser.add_argument("--taxonomy", choices=list(TAXONOMIES), help="instead of the data set's own")
    parser.add_argument("--vis-images", "--photos", type=int, default=8, metavar="N", help="images in the grid")
    parser.add_argument("--num-images", type=int, default=200, help="images read for counts and checks; 0 reads all")
    parser.add_argument("--seed", type=int, default=0, help="selects the images")
    parser.add_argument("--views", choices=sorted(RECIPES), help="draw images as this recipe augments them")
    parser.add_argument("--strict", action="store_true", help="stop at the first broken image")


def run(chosen: argparse.Namespace) -> int:
    """Print statistics and warnings, and draw the grid."""
    if chosen.vis_images < 1 or chosen.num_images < 0:
        raise InputError(
            f"--vis-images {chosen.vis_images} --num-images {chosen.num_images}: draw at least one image, read 0 (all) "
            "or more"
        )
    if chosen.out is not None and chosen.out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {chosen.out}: name a .png or .jpg")
    if chosen.out is not None and not chosen.out.parent.is_dir():
        raise InputError(f"--out {chosen.out}: there is no folder {chosen.out.parent}")
    dataset = open_dataset(chosen.data, None if chosen.taxonomy is None else get_taxonomy(chosen.taxonomy))
    training, validation = dataset.split()
    total = len(dataset)
    print(f"{total:,} images of {dataset.taxonomy.name}: {len(training):,} to train on, {len(validation):,} held out")
    if not total:
        raise DatasetError(f"no images in {', '.join(map(str, chosen.data))}: name folders that hold some")
    print(f"\n{license_table(dataset)}\n")
    order = np.random.default_rng(chosen.seed).permutation(total).tolist()
    readable = _count(dataset, order[: chosen.num_images or total], chosen.strict)
    if chosen.out is not None:
        rows = _rows(dataset, readable[: chosen.vis_images], chosen.views)
        names = ", ".join(path.resolve().name for path in chosen.data)
        varied = "" if chosen.views is None else f", as {chosen.views} shows them in an epoch"
        config = DecoderConfig() if chosen.views is None else RECIPES[chosen.views]().decoder
        draw_target_grid(rows, dataset.taxonomy, config, f"{names}: {dataset.taxonomy.name}{varied}").save(chosen.out)
        print(f"image grid: {chosen.out}")
    return 0


def _count(dataset: ImageDataset, indices: list[int], strict: bool) -> list[int]:
    """Print statistics and warnings of some images; returns the indices of readable ones."""
    stats, sides = DatasetStats(dataset.taxonomy), LeftRightCheck(dataset.taxonomy)
    readable, broken, warnings = [], [], []
    for index in tqdm(indices, unit="image", disable=None, leave=False):
        try:
            sample = dataset.load(index)
        except DatasetError as error:
            if strict:
                raise
            broken.append(str(error))
            continue
        readable.append(index)
        stats.add(sample)
        sides.add(sample)
        warnings += [f"{sample.key}: {warning}" for warning in check_labels(sample, dataset.taxonomy)]
    read = (
        "all of them"
        if len(indices) == len(dataset)
        else f"{len(indices):,} of them, drawn by chance (--num-images 0: all)"
    )
    print(f"counted in {read}\n\n{stats.table()}\n")
    _list("broken", broken)
    _list("warning", sides.warnings())
    _list("warning", warnings)
    if not readable:
        raise DatasetError(f"none of {len(indices)} images can be read: {broken[0]}")
    return readable


def _list(kind: str, lines: list[str]) -> None:
    for line in lines[:SHOWN]:
        print(f"{kind}: {line}", file=sys.stderr)
    if len(lines) > SHOWN:
        print(f"{kind}: and {len(lines) - SHOWN} more", file=sys.stderr)


def _rows(dataset: ImageDataset, indices: list[int], recipe: str | None) -> list[Row]:
    """Return the rows of the grid: images as they are, or as the first epoch of a recipe augments them."""
    rows = []
    for index in indices:
        if recipe is None:
            sample = dataset.load(index)
            canvas = fit(sample, CANVAS, CANVAS)
        else:
            sample = canvas = TrainingSet(dataset, [index], RECIPES[recipe]()).canvas((0, index))
        caption = (
            f"{sample.key}   {sample.size[1]} x {sample.size[0]}   {sample.source}   people: {len(sample.keypoints)}"
        )
        rows.append(Row(caption, canvas))
    return rows
