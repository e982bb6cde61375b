"""Draw the predictions of a checkpoint or bundle in one image grid."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from tqdm import tqdm

from model.canvases import CANVASES
from model.errors import InputError
from training.data.samples import DatasetError
from training.data.unlabeled_images import find_images
from training.evaluation.evaluate import subsample
from training.inference.predictors import open_predictor
from training.studies.latency.machine import machine
from training.visualization.prediction_grid import TileRenderer, draw_tile_grid

HELP = "draw the predictions of a checkpoint or bundle in one image grid"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "parser", type=Path, metavar="CHECKPOINT|BUNDLE", help="a bundle is a folder with manifest.json"
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE|FOLDER", help="images without labels")
    parser.add_argument("--out", required=True, type=Path, help=f"the image grid: {', '.join(SUFFIXES)}")
    parser.add_argument("--detail", choices=list(CANVASES), default="fast", help="level of detail: canvas size")
    parser.add_argument("--columns", type=int, default=6, help="tiles side by side (default 6)")
    parser.add_argument("--side", type=int, default=360, help="pixels of a tile's longer side (default 360)")
    parser.add_argument(
        "--no-image", action="store_true", help="predictions only, for images that may not be redistributed"
    )
    parser.add_argument("--limit", type=int, default=24, help="at most so many images, evenly spread (default 24)")


def run(chosen: argparse.Namespace) -> int:
    """Draw the grid; report and leave out unreadable images."""
    if chosen.out.suffix.lower() not in SUFFIXES or not chosen.out.parent.is_dir():
        raise InputError(f"--out {chosen.out}: name one of {', '.join(SUFFIXES)} in an existing folder")
    if chosen.columns < 1 or chosen.limit < 1:
        raise InputError(f"--columns {chosen.columns} --limit {chosen.limit}: choose at least 1")
    paths = find_images(chosen.images)
    predictor = open_predictor(chosen.parser, chosen.detail)
    renderer = TileRenderer(predictor, chosen.side, chosen.no_image)
    tiles, broken = [], []
    for path in tqdm([paths[i] for i in subsample(range(len(paths)), chosen.limit)], desc="visualize", unit="image"):
        try:
            tiles.append(renderer.tile(path))
        except DatasetError as error:
            broken.append(str(error))
    for problem in broken:
        print(f"left out: {problem}", file=sys.stderr)
    if not tiles:
        raise DatasetError(f"none of {len(broken)} images can be read")
    on_gpu = predictor.kind == "checkpoint" and torch.cuda.is_available()
    where = machine(torch.device("cuda" if on_gpu else "cpu"), torch.get_num_threads())
    title = f"{predictor.name}, detail {chosen.detail}; ms: from canvas to people, {where.get('device', where['cpu'])}"
    draw_tile_grid(tiles, chosen.columns, chosen.side, predictor.taxonomy, title).save(chosen.out, quality=90)
    print(f"{len(tiles)} images: {chosen.out}")
    return 0
