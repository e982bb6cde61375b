"""Pseudo-label images with a checkpoint or bundle: write a folder to correct, or to train on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from model.canvases import CANVASES
from model.errors import InputError
from training.data.convert.writer import FolderWriter
from training.data.samples import DatasetError
from training.data.unlabeled_images import find_images, read_upright, unlabelled
from training.inference.predictions import parse_image
from training.inference.predictors import open_predictor
from training.inference.pseudo_labels import make_pseudo_labels

HELP = "label images with a checkpoint or bundle, as a folder to train on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "parser", type=Path, metavar="CHECKPOINT|BUNDLE", help="a bundle is a folder with manifest.json"
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE|FOLDER", help="images without labels")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help="a new folder")
    parser.add_argument("--detail", choices=list(CANVASES), default="high", help="level of detail: canvas size")
    parser.add_argument(
        "--score-thr", type=float, default=0.4, help="least score of a labelled person; others become ignore regions"
    )
    parser.add_argument("--link", action="store_true", help="hard links to the images instead of copies")


def run(chosen: argparse.Namespace) -> int:
    """Label all readable images; report and leave out the others."""
    if not 0 <= chosen.score_thr <= 1:
        raise InputError(f"--score-thr {chosen.score_thr}: choose a score from 0 to 1")
    paths = find_images(chosen.images)
    predictor = open_predictor(chosen.parser, chosen.detail)
    writer = FolderWriter(chosen.out, predictor.taxonomy, chosen.link)
    broken = 0
    for path in tqdm(paths, desc="pseudo-label", unit="image"):
        try:
            sample = unlabelled(read_upright(path), path.name, predictor.taxonomy)
            people = parse_image(predictor.parse, sample, predictor.scales)
            writer.add(path, make_pseudo_labels(people, chosen.score_thr), complete=False)
        except DatasetError as error:
            print(f"left out: {error}", file=sys.stderr)
            broken += 1
    if broken == len(paths):
        raise DatasetError(f"none of {broken} images can be read")
    writer.finish()
    print(f"{len(writer.images)} images of {len(writer.annotations)} people in {chosen.out}; {broken} left out")
    print(f"look at them: python -m training inspect {chosen.out} --out {chosen.out / 'inspect.png'}")
    return 0
