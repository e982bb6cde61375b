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
from training.visualization.gallery import Gallery, draw_gallery

HELP = "draw what a checkpoint or bundle sees in images, on one sheet"
PICTURES = (".jpg", ".jpeg", ".png", ".webp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "parser", type=Path, metavar="CHECKPOINT|BUNDLE", help="a bundle is a folder with manifest.json"
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE|FOLDER", help="images without labels")
    parser.add_argument("--out", required=True, type=Path, help=f"the sheet: {', '.join(PICTURES)}")
    parser.add_argument("--detail", choices=list(CANVASES), default="fast", help="how large images are shown to it")
    parser.add_argument("--columns", type=int, default=6, help="tiles side by side (default 6)")
    parser.add_argument("--side", type=int, default=360, help="pixels of a tile's longer side (default 360)")
    parser.add_argument(
        "--no-image", action="store_true", help="the answers alone, of images that may not be passed on"
    )
    parser.add_argument("--limit", type=int, default=24, help="at most so many images, evenly spread (default 24)")


def run(chosen: argparse.Namespace) -> int:
    """Draw the sheet; images that cannot be read are named and left out."""
    if chosen.out.suffix.lower() not in PICTURES or not chosen.out.parent.is_dir():
        raise InputError(f"--out {chosen.out}: name one of {', '.join(PICTURES)} in a folder that there is")
    if chosen.columns < 1 or chosen.limit < 1:
        raise InputError(f"--columns {chosen.columns} --limit {chosen.limit}: choose at least 1")
    paths = find_images(chosen.images)
    predictor = open_predictor(chosen.parser, chosen.detail)
    gallery = Gallery(predictor, chosen.side, chosen.no_image)
    tiles, broken = [], []
    for path in tqdm([paths[i] for i in subsample(range(len(paths)), chosen.limit)], desc="visualize", unit="image"):
        try:
            tiles.append(gallery.tile(path))
        except DatasetError as error:
            broken.append(str(error))
    for problem in broken:
        print(f"left out: {problem}", file=sys.stderr)
    if not tiles:
        raise DatasetError(f"none of {len(broken)} images can be read")
    on_gpu = predictor.kind == "checkpoint" and torch.cuda.is_available()
    where = machine(torch.device("cuda" if on_gpu else "cpu"), torch.get_num_threads())
    title = f"{predictor.name}, detail {chosen.detail}; ms: from canvas to people, {where.get('device', where['cpu'])}"
    draw_gallery(tiles, chosen.columns, chosen.side, predictor.taxonomy, title).save(chosen.out, quality=90)
    print(f"{len(tiles)} images: {chosen.out}")
    return 0
